"""`imgsvc serve`, as a command of click."""

import argparse

from imgsvc.serve import PROGRAM
from imgsvc.terminal.borrowed import command_of

_parser = argparse.ArgumentParser(description=PROGRAM.description)
PROGRAM.add_options(_parser)
command = command_of("serve", _parser, PROGRAM.run, {})
