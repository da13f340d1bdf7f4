"""The command `imgsvc webhooks`; in the container of the storage service, `python -m storage_service.webhooks`."""

import argparse
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from service_kit.durations import duration
from service_kit.leaving import leave
from storage_service import administration
from storage_service.administration import Office, exit_codes, print_table
from storage_service.beside import counted
from storage_service.deliveries import Deliveries
from storage_service.events import Events, EventType
from storage_service.http.webhook_bodies import (
    FailedEvent,
    FailedEvents,
    Webhook,
    Webhooks,
    WebhookTest,
    WebhookWithSecret,
)
from storage_service.receivers import Receivers
from storage_service.subscriptions import NewSecret, Subscriptions, WebhookChange

DESCRIPTION = """\
Make, list, test and delete webhooks, next to running services. A secret is shown once, when it is made.
"""
EPILOG = f"""\
events: {", ".join(EventType)}

{exit_codes("1 it does not exist, or the receiver did not take the test; ")}
"""
_MOST = 1000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = commands.add_parser("create", help="make a webhook, and show its secret")
    create.add_argument("url", help="where events are posted")
    create.add_argument(
        "--event",
        action="append",
        default=[],
        choices=[kind.value for kind in EventType],
        dest="events",
        help="what it is told about; repeatable; default everything",
    )
    create.add_argument("--space", metavar="NAME", help="the only space that it is told about; default all")
    create.set_defaults(act=_create)
    commands.add_parser("list", help="show all webhooks, without their secrets").set_defaults(act=_list)
    _of_one(commands, "delete", "delete a webhook, and what waits for it").set_defaults(act=_delete)
    _of_one(commands, "enable", "send events again to one that was disabled").set_defaults(act=_enable)
    _of_one(commands, "disable", "send no events").set_defaults(act=_disable)
    _of_one(commands, "test", "send a test event now, and show what the receiver said").set_defaults(act=_test)
    rotate = _of_one(commands, "rotate", "make a new secret")
    rotate.add_argument(
        "--overlap", type=duration, default=duration("1d"), metavar="TIME", help="how long both are used (default 1d)"
    )
    rotate.set_defaults(act=_rotate)
    _of_one(commands, "failures", "show events that have failed, and how many wait").set_defaults(act=_failures)
    retry = _of_one(commands, "retry", "send failed events again, and waiting events now")
    retry.add_argument("event_ids", nargs="*", metavar="EVENT", help="as `failures` shows it; default all")
    retry.set_defaults(act=_retry)
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="print JSON")


def _of_one(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text)
    command.add_argument("webhook_id", metavar="ID", help="as `imgsvc webhooks list` shows it")
    return command


@asynccontextmanager
async def _subscriptions(office: Office) -> AsyncIterator[Subscriptions]:
    networks = office.settings.webhook_allowed_networks
    async with Receivers(office.master, networks) as receivers:
        events = Events(office.metadata, lambda _: {})
        yield Subscriptions(office.metadata, office.audit, events, Deliveries(office.metadata), receivers)


async def _create(office: Office, options: argparse.Namespace) -> None:
    async with _subscriptions(office) as subscriptions:
        _show_new(await subscriptions.create(options.url, options.events, options.space), options)


async def _rotate(office: Office, options: argparse.Namespace) -> None:
    async with _subscriptions(office) as subscriptions:
        _show_new(await subscriptions.rotate(options.webhook_id, options.overlap), options)


async def _delete(office: Office, options: argparse.Namespace) -> None:
    async with _subscriptions(office) as subscriptions:
        await subscriptions.delete(options.webhook_id)
    print(json.dumps({"deleted": options.webhook_id}) if options.json else f"deleted {options.webhook_id}")


async def _enable(office: Office, options: argparse.Namespace) -> None:
    await _switch(office, options, enabled=True)


async def _disable(office: Office, options: argparse.Namespace) -> None:
    await _switch(office, options, enabled=False)


async def _switch(office: Office, options: argparse.Namespace, *, enabled: bool) -> None:
    async with _subscriptions(office) as subscriptions:
        webhook = Webhook.of(await subscriptions.change(options.webhook_id, WebhookChange(enabled=enabled)))
    print(webhook.model_dump_json(indent=2) if options.json else f"{options.webhook_id} {_state(webhook)}")


async def _list(office: Office, options: argparse.Namespace) -> None:
    async with _subscriptions(office) as subscriptions:
        found = [Webhook.of(webhook) for webhook in await subscriptions.all()]
    if options.json:
        print(Webhooks(webhooks=found).model_dump_json(indent=2))
        return
    rows = [
        (each.webhook_id, each.url, ",".join(each.events) or "all", each.space or "all", _state(each)) for each in found
    ]
    print_table([("ID", "URL", "EVENTS", "SPACE", "STATE"), *rows])


async def _test(office: Office, options: argparse.Namespace) -> int:
    async with _subscriptions(office) as subscriptions:
        answer = WebhookTest.of(await subscriptions.test(options.webhook_id))
    if options.json:
        print(answer.model_dump_json(indent=2))
    elif answer.delivered:
        print(f"delivered in {answer.milliseconds} ms (status {answer.status})")
    else:
        print(f"not delivered: {answer.reason}" + (f"\n{answer.answer}" if answer.answer else ""))
    return 0 if answer.delivered else 1


async def _failures(office: Office, options: argparse.Namespace) -> None:
    async with _subscriptions(office) as subscriptions:
        found = [FailedEvent.of(each) for each in await subscriptions.failures(options.webhook_id, _MOST)]
        waiting, reason = await subscriptions.waiting(options.webhook_id)
    if options.json:
        report = FailedEvents(failures=found, waiting=waiting, waiting_reason=reason)
        print(report.model_dump_json(indent=2))
        return
    if waiting:
        wait = f"{counted(waiting, 'event')} wait{'s' * (waiting == 1)} for the receiver"
        print(f"{wait}: {reason}" if reason else wait, file=sys.stderr)
    if not found:
        print("no events have failed for good", file=sys.stderr)
        return
    rows = [(each.event_id, each.type, _minute(each.failed_at), str(each.attempts), each.reason) for each in found]
    print_table([("EVENT", "TYPE", "FAILED", "ATTEMPTS", "REASON"), *rows])


async def _retry(office: Office, options: argparse.Namespace) -> None:
    async with _subscriptions(office) as subscriptions:
        known = await subscriptions.failures(options.webhook_id, _MOST)
        event_ids = options.event_ids or [failure.event_id for failure in known]
        for event_id in event_ids:
            await subscriptions.retry(options.webhook_id, event_id)
        if not options.event_ids:
            await subscriptions.hurry(options.webhook_id)
        waiting, _ = await subscriptions.waiting(options.webhook_id)
    if options.json:
        print(json.dumps({"retried": event_ids, "waiting": waiting}))
    else:
        number = len(event_ids) if options.event_ids else waiting
        print(f"{counted(number, 'event')} {'is' if number == 1 else 'are'} sent now")


def _state(webhook: Webhook) -> str:
    if webhook.disabled_at:
        return f"disabled {_minute(webhook.disabled_at)}: {webhook.reason}"
    return f"fails since {_minute(webhook.failing_since)}" if webhook.failing_since else "works"


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _show_new(new: NewSecret, options: argparse.Namespace) -> None:
    if options.json:
        print(WebhookWithSecret.of_new(new).model_dump_json(indent=2))
        return
    print(new.webhook.webhook_id)
    print(new.secret)
    print("The second line is the secret. This is the only time that it is shown.", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage_service.webhooks")
    add_options(parser)
    return administration.run(parser.parse_args(arguments))


if __name__ == "__main__":
    leave(main())
