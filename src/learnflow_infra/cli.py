"""The command line: the table of commands, and the exit code that answers.

Nothing heavy is imported before a command is known, so that help costs little.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

TYPE_CHECKING = False  # importing typing for it would cost a tenth of the help's time
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any, NoReturn

    from learnflow_infra.commands import Request
    from learnflow_infra.findings.failures import Finding
    from learnflow_infra.report import Progress, Report
    from learnflow_infra.settings import Settings

EXIT_CODES = """\
0 done and proved, 1 not healthy, 2 wrong usage or settings,
3 no cluster, 4 resources or permission missing, 5 the deadline passed, 130 interrupted"""

_SECONDS = 60.0
_BUILD_SECONDS = 1800.0  # it may have to build the local cluster
# An interrupted command has ended within two seconds: so long have its processes, then its threads.
_ENDING_SECONDS = 0.5
_TIDYING_SECONDS = 1.0
_DONE = b"\0"  # no signal has this number


class _Command:
    """A row of the table: what a command takes, and for how long it may run.

    It is carried out by the function of its first word's name, in the module of that name in
    `commands`.
    """

    def __init__(
        self,
        help_: str,
        *options: tuple[str, dict[str, Any]],
        seconds: float = _SECONDS,
        services: bool = False,
        cluster: bool = False,
        settings: bool = True,
        passes: bool = False,
        runs: bool = False,
    ) -> None:
        self.help = help_
        self.options = options
        self.seconds = seconds
        self.services = services
        self.cluster = cluster
        self.settings = settings
        self.passes = passes
        """Whether what it does not know is for a program that it becomes."""
        self.runs = runs
        """Whether a command may follow after `--`, to be run with the logins in its environment."""


def _option(name: str, **how: Any) -> tuple[str, dict[str, Any]]:
    return name, how


COMMANDS = {
    "init": _Command(
        "write a settings file to start from",
        _option("folder", nargs="?", default=".", metavar="DIR", help="the project's folder"),
        settings=False,
    ),
    "explain": _Command(
        "say what a setting is for and may be",
        _option("setting", nargs="?", metavar="SETTING", help="such as kafka.topics; all if none"),
        settings=False,
    ),
    "up": _Command(
        "deploy and prove; run again, it changes nothing",
        seconds=_BUILD_SECONDS,
        services=True,
        cluster=True,
    ),
    "verify": _Command(
        "prove what is deployed: pods, volumes, round trips of data", services=True, cluster=True
    ),
    "status": _Command("a table of what is there", services=True, cluster=True),
    "doctor": _Command("look at the machine and the cluster before deploying", cluster=True),
    "diagnose": _Command(
        "say what is wrong in a namespace; nothing is written",
        _option("--namespace", metavar="NAME", help="the namespace; the settings' if not given"),
        cluster=True,
    ),
    "down": _Command(
        "remove what `up` made and keep the data",
        _option("--purge", action="store_true", help="remove the data too"),
        _option("--yes", action="store_true", help="do not ask before a purge"),
        seconds=300.0,
        services=True,
        cluster=True,
    ),
    "connect": _Command(
        "open the ports on localhost until interrupted, or while a command runs",
        _option(
            *("--env",),
            action="store_true",
            help="run the command after -- with the logins in its environment, as without this",
        ),
        seconds=float("inf"),
        services=True,
        cluster=True,
        runs=True,
    ),
    "env": _Command(
        "print a login as a client's library reads it, with its password",
        _option(
            *("--service",),
            dest="services",
            action="append",
            default=[],
            metavar="SERVICE",
            help="the service, which may be given again; all if not given",
        ),
        _option("--user", metavar="NAME", help="a declared user; the application's if not given"),
        _option(
            *("--host",),
            dest="place",
            action="store_const",
            const="host",
            default="host",
            help="for this machine, through `connect`; if nothing is said",
        ),
        _option(
            *("--cluster",),
            dest="place",
            action="store_const",
            const="cluster",
            help="for a pod, with the Secret's certificate at /etc/SERVICE-connection",
        ),
        _option(
            *("--format",),
            default="env",
            metavar="FORMAT",
            help="env, json, properties, pgpass, jdbc, spring, node or python; env if not given",
        ),
        cluster=True,
    ),
    "psql": _Command(
        "PostgreSQL's own psql with the application's login; its arguments follow",
        cluster=True,
        passes=True,
    ),
    "kafka": _Command(
        "Kafka's own tools with the application's login; the tool's arguments follow",
        _option("tool", metavar="TOOL", help="topics, produce, consume, groups or configs"),
        cluster=True,
        passes=True,
    ),
    "render": _Command("print the manifests as YAML", services=True),
    "role": _Command("print the permissions that the commands need, as YAML"),
    "cluster up": _Command("start the local cluster", seconds=_BUILD_SECONDS, settings=False),
    "cluster status": _Command("say whether it runs", settings=False),
    "cluster down": _Command(
        "stop the local cluster and keep its data",
        _option("--purge", action="store_true", help="remove its data, programs and images too"),
        seconds=300.0,
        settings=False,
    ),
    "skills install": _Command(
        "copy the agent skills to where an agent looks",
        _option("folder", nargs="?", default=".", metavar="DIR", help="the project's folder"),
        settings=False,
    ),
}
_GROUPS = {"cluster": "the local cluster", "skills": "the agent skills"}


class _UsageError(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message} ({' '.join(self.format_usage().split())})")


def main() -> NoReturn:
    """The console script's entry point."""
    sys.exit(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """Carry out one command line and return its exit code."""
    try:
        own, run_ = _split(argv)
        arguments, rest = parser().parse_known_args(own)
        arguments.rest, arguments.run = rest, run_
        if rest and not arguments.row.passes:
            raise _UsageError(f"unrecognized arguments: {' '.join(rest)}")
    except _UsageError as error:
        return _end(_failed("usage", str(error)), as_json="--json" in argv)
    return _carry_out(arguments, argv)


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """This command's own arguments, and the command that follows after `--` where one may."""
    row = COMMANDS.get(argv[0]) if argv else None
    if not row or not row.runs or not {"--", "--env"} & set(argv):
        return argv, []
    at = argv.index("--") if "--" in argv else len(argv)
    if argv[at + 1 :]:
        return argv[:at], argv[at + 1 :]
    raise _UsageError("no command follows after --")


def _carry_out(arguments: argparse.Namespace, argv: list[str]) -> int:
    started = time.monotonic()
    from threading import Thread

    from learnflow_infra.report import Progress, Report, emit

    progress = Progress()
    printed = False
    reports = []

    def show(report: Report) -> None:
        nonlocal printed
        progress.close()
        emit(report, as_json=arguments.json)
        printed = True

    def work() -> None:
        reports.append(_report(arguments, argv, progress, show))
        os.write(bell, _DONE)

    # The main thread is kept for signals: what the command waits for, it waits for elsewhere.
    ears, bell = os.pipe()
    _ring_on_signals(bell)
    worker = Thread(target=work, daemon=True)
    worker.start()
    while (rung := os.read(ears, 1)) != _DONE:
        from learnflow_infra.host import interruption, process

        if not process.forward(rung[0]):
            break
    interrupted = rung != _DONE
    if interrupted:
        process.interrupt(_ENDING_SECONDS)
        worker.join(_TIDYING_SECONDS)
        report = Report(arguments.command, findings=interruption.failure().findings)
    else:
        report = reports[0]
    progress.close()
    report.seconds = time.monotonic() - started
    said_all = interrupted and printed
    code = int(report.exit_code) if said_all else _end(report, as_json=arguments.json)
    if interrupted:
        os._exit(code)  # a thread that still waits for something is left behind
    return code


def _ring_on_signals(bell: int) -> None:
    """Write to a pipe at each signal that is to end the command.

    Python's own handlers run in the main thread, which a signal to another thread does not wake.
    """
    import signal

    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    # SIGINT also where a shell started it in the background, with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup asks
        signal.signal(signal.SIGHUP, lambda *_: None)


def _report(
    arguments: argparse.Namespace,
    argv: list[str],
    progress: Progress,
    show: Callable[[Report], None],
) -> Report:
    from learnflow_infra.report import Report

    request: Request | None = None
    try:
        from importlib import import_module

        request = _request(arguments, progress, show)
        module = import_module(f"learnflow_infra.commands.{arguments.command}")
        report: Report = getattr(module, arguments.command)(request)
    except BaseException as error:  # whatever it is, the main thread waits for a report
        reached = request.reached if request else {}
        report = Report(arguments.command, findings=_findings(error), cluster=reached)
    try:
        if report.unmerged_findings and hasattr(arguments, "context"):
            _warn(arguments, report)
            _name_context(report, request)
        if getattr(arguments, "verbose", False) or getattr(arguments, "report", None):
            progress.say("gathering objects, events and logs")
            _add_rest(arguments, argv, report)
    except Exception as error:
        report.findings = [*report.findings, *_findings(error)]
    return report


def _request(
    arguments: argparse.Namespace, progress: Progress, show: Callable[[Report], None]
) -> Request:
    from learnflow_infra.commands import Request
    from learnflow_infra.host.deadline import Deadline
    from learnflow_infra.settings import Settings

    return Request(
        settings=_settings(arguments) if arguments.row.settings else Settings(),
        names=tuple(dict.fromkeys(getattr(arguments, "services", ()))),
        deadline=Deadline(arguments.timeout or arguments.row.seconds),
        say=progress.say,
        note=progress.note,
        options=vars(arguments),
        show=show,
    )


def _findings(error: BaseException) -> Sequence[Finding]:
    from learnflow_infra.findings.failures import Failure, finding

    if isinstance(error, Failure):
        return error.findings
    # A defect of ours: said in a sentence, not in a traceback.
    return [finding("internal-error", f"{type(error).__name__}: {error}"[:300])]


def _settings(arguments: argparse.Namespace) -> Settings:
    from learnflow_infra import settings
    from learnflow_infra.services import registry

    return settings.override(
        settings.load(arguments.settings, registry.sections),
        provider=getattr(arguments, "cluster", None),
        context=getattr(arguments, "context", None),
        namespace=getattr(arguments, "namespace", None),
    )


def _warn(arguments: argparse.Namespace, report: Report) -> None:
    """Say where a remedy would deploy to another cluster than the last `up`."""
    from learnflow_infra.cluster import deployments
    from learnflow_infra.findings.failures import Failure

    try:
        namespace = _settings(arguments).cluster.namespace
    except Failure:  # which the report tells
        return
    context = report.cluster.get("context")
    report.findings = deployments.warned(report.findings, namespace, context)
    for each in report.services:
        each.findings = deployments.warned(each.findings, namespace, context)


def _name_context(report: Report, request: Request | None) -> None:
    """Tell a remedy's kubectl the context, where it would use another one."""
    from learnflow_infra.cluster import deployments
    from learnflow_infra.kubernetes import kubeconfig

    context = report.cluster.get("context")
    if not context or not request or not deployments.says_kubectl(report.unmerged_findings):
        return
    if kubeconfig.current_context(request.kubectl) != context:
        report.findings = deployments.in_context(report.findings, context)
        for each in report.services:
            each.findings = deployments.in_context(each.findings, context)


def _add_rest(arguments: argparse.Namespace, argv: list[str], report: Report) -> None:
    """What --verbose and --report ask for."""
    from learnflow_infra.diagnosis import support_bundle

    settings, changed = _settings(arguments), report.changed or ()
    text = support_bundle.collect(argv, settings, report.unmerged_findings, changed)
    if arguments.verbose:
        report.rest = support_bundle.bounded(text, support_bundle.MOST_SHOWN_BYTES)
    if arguments.report:
        support_bundle.save(text, arguments.report)


def _failed(code: str, message: str, command: str = "") -> Report:
    from learnflow_infra.findings.failures import finding
    from learnflow_infra.report import Report

    return Report(command, findings=[finding(code, message)])


def _end(report: Report, *, as_json: bool) -> int:
    from learnflow_infra.report import emit

    if report.ended is not None:
        return report.ended
    try:
        emit(report, as_json=as_json)
    except OSError:  # the pipe's reader or the terminal is gone
        sys.stderr.close()
    return int(report.exit_code)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise ValueError
    return value


_seconds.__name__ = "number of seconds"


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, made of the table."""
    whole = _Parser(
        prog="learnflow-infra",
        allow_abbrev=False,
        description="Apache Kafka and PostgreSQL in a Kubernetes: deployed, and proved to work.",
        epilog=f"exit codes: {EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    groups = {}
    for name, row in COMMANDS.items():
        word, _, action = name.partition(" ")
        if action and word not in groups:
            help_ = _GROUPS[word]
            group = commands.add_parser(word, help=help_, description=help_, allow_abbrev=False)
            groups[word] = group.add_subparsers(dest="action", required=True, metavar="ACTION")
        beside = groups[word] if action else commands
        command = beside.add_parser(
            action or word,
            help=row.help,
            description=row.help,
            allow_abbrev=False,
            add_help=not row.passes,
        )
        command.set_defaults(row=row)
        _add_options(command, row)
    return whole


def _add_options(command: argparse.ArgumentParser, row: _Command) -> None:
    if row.services:
        command.add_argument(
            "services",
            nargs="*",
            metavar="SERVICE",
            help="kafka, postgres or another of the settings'; all if none is named",
        )
    for name, how in row.options:
        command.add_argument(name, **how)
    if row.cluster:
        which = command.add_mutually_exclusive_group()
        if "--cluster" not in dict(row.options):
            which.add_argument(
                "--cluster", choices=("minikube", "local"), help="the cluster to use"
            )
        which.add_argument(
            "--context", metavar="NAME", help="the context of your kubeconfig to use"
        )
    if row.settings:
        command.add_argument(
            "--settings", metavar="FILE", help="the settings; the nearest infra.toml if not given"
        )
    if row.passes:
        command.set_defaults(json=False, timeout=None)
        return
    bound = f"{row.seconds:g}" if row.seconds < float("inf") else "no bound"
    command.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help=f"a bound for the whole command; {bound} if not given",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    if row.cluster:
        command.add_argument(
            "--verbose",
            action="store_true",
            help="print objects, events and logs on standard error",
        )
        command.add_argument(
            "--report",
            type=_file,
            metavar="FILE",
            help="write objects, events and logs into a file that only you can read",
        )


def _file(text: str) -> Path:
    from pathlib import Path

    from learnflow_infra.diagnosis.support_bundle import unwritable

    if (reason := unwritable(Path(text))) is not None:
        raise argparse.ArgumentTypeError(f"{text!r} {reason}")
    return Path(text)
