"""`imgsvc completion`: the script that completes commands and options in a shell."""

import click
from click.shell_completion import get_completion_class

_WHERE = {
    "bash": 'eval "$(imgsvc completion bash)"            # in ~/.bashrc',
    "zsh": 'eval "$(imgsvc completion zsh)"             # in ~/.zshrc, after compinit',
    "fish": "imgsvc completion fish >~/.config/fish/completions/imgsvc.fish",
}


@click.command("completion", epilog="\b\n" + "\n".join(_WHERE.values()))
@click.argument("shell", type=click.Choice([*_WHERE]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and profiles in SHELL."""
    kind = get_completion_class(shell)
    assert kind
    click.echo(kind(context.find_root().command, {}, "imgsvc", "_IMGSVC_COMPLETE").source())
