"""Commands that talk to a service: their common options, and what its errors mean."""

from typing import Any

import click
from click.shell_completion import CompletionItem

from imgsvc.terminal import profiles
from imgsvc.terminal.failures import failure


class _Profile(click.ParamType[str]):
    name = "name"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The profiles in the file."""
        return [CompletionItem(name) for name in profiles.profile_names() if name.startswith(incomplete)]


class ServiceCommand(click.Command):
    """A command with `--url` and `--profile`, whose function gets the service as `service`."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += [
            click.Option(
                ["--url"], metavar="URL", help="The service (IMGSVC_URL; default http://127.0.0.1:PORT, or port 8080)."
            ),
            click.Option(
                ["--profile"], type=_Profile(), help="A profile in ~/.config/imgsvc/config.toml (IMGSVC_PROFILE)."
            ),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """See click."""
        service = profiles.service(ctx.params.pop("url"), ctx.params.pop("profile"))
        ctx.params["service"] = service
        try:
            return super().invoke(ctx)
        except (click.ClickException, BrokenPipeError, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            raise failure(error, service.url) from error


json_option = click.option("--json", "in_json", is_flag=True, help="Print JSON.")
json_lines = click.option("--json", "in_json", is_flag=True, help="Print JSON, an object per line.")
