"""Hydra's own flags, which print and train nothing: ``--help``, ``--cfg``, ``--info``, shell completion."""

import contextlib
import io
import os
import re
from argparse import ArgumentParser, Namespace

from hydra._internal.core_plugins.bash_completion import BashCompletion
from hydra.errors import HydraException

from finesweep.config.compose import CONFIG_NAME, compose, hydra_session, lenient
from finesweep.config.errors import ConfigError, Problem, UserError


def show(args: Namespace, parser: ArgumentParser) -> int:
    """Hydra's flags that only print: ``--help``, ``--hydra-help``, ``--cfg``, ``--info``."""
    with hydra_session(args.config_dir) as hydra:
        try:
            if args.cfg:
                compose(hydra, args.overrides)
                overrides = lenient(hydra, args.overrides)
                hydra.show_cfg(CONFIG_NAME, overrides, args.cfg, args.package, args.resolve)
            elif args.info:
                hydra.show_info(args.info, CONFIG_NAME, args.overrides)
            else:
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    helper = hydra.hydra_help if args.hydra_help else hydra.app_help
                    helper(config_name=CONFIG_NAME, args_parser=parser, args=args)
                # What options share is none itself: _base, _demo, …
                print(re.sub(r"(?<=[:,] )_\w+, ", "", printed.getvalue()), end="")
        except HydraException as error:
            raise ConfigError([Problem("command line", str(error).splitlines()[0])]) from error
    return 0


_COMPLETION = """\
_finesweep_complete() {
    local word="${COMP_WORDS[COMP_CWORD]}"
    local choices="$(COMP_LINE="${COMP_LINE:0:$COMP_POINT}" finesweep train -sc query=bash 2>/dev/null)"
    COMPREPLY=($(compgen -W "$choices" -- "$word"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _finesweep_complete finesweep
"""


def complete(args: Namespace) -> int:
    """Shell completion: ``install=bash`` prints the script, ``query=bash`` answers it.

    Hydra's own script takes the first word for the whole program and breaks behind a sub-command, so this is ours.
    """
    wish = args.overrides[0] if args.overrides else ""
    if wish in ("install=bash", "install=zsh"):
        print(("autoload -U +X bashcompinit && bashcompinit\n" if wish.endswith("zsh") else "") + _COMPLETION, end="")
        return 0
    if wish != "query=bash":
        raise UserError("shell completion takes install=bash or install=zsh", where="--shell-completion")
    words = os.environ.get("COMP_LINE", "").split(" ")[1:]
    if len(words) <= 1:
        print("train check data evaluate predict resume reproduce compare report list clean")
        return 0
    with hydra_session(None) as hydra:
        found = BashCompletion(hydra.config_loader)._query(CONFIG_NAME, " ".join(words[1:]))
        print(" ".join(choice for choice in found if "=_" not in choice))
    return 0
