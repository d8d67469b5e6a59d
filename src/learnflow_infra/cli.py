"""The command line: what can be asked, and the exit code that answers.

Nothing heavy is imported before a command is known, so that help costs little.
"""

from __future__ import annotations

import argparse
import sys
import time

TYPE_CHECKING = False  # importing typing for it would cost a tenth of the help's time
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any, NoReturn

    from learnflow_infra.findings.failures import Finding
    from learnflow_infra.report import Progress, Report
    from learnflow_infra.settings import Settings

_SERVICES = ("kafka", "postgres")
_EPILOG = """\
exit codes: 0 done and proved, 1 not healthy, 2 wrong usage or settings, 3 no cluster,
4 resources or permission missing, 5 the deadline passed, 130 interrupted"""

# A command that may have to build the local cluster gets more.
_SECONDS = {"up": 1800.0, "cluster": 1800.0, "down": 300.0, "connect": float("inf")}
_DEFAULT_SECONDS = 60.0


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
        arguments = _parser().parse_args(argv)
    except _UsageError as error:
        return _end(_failed("usage", str(error)), as_json="--json" in argv)
    import signal

    # Also where a shell started it in the background, with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup asks
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    started = time.monotonic()
    from learnflow_infra.report import Progress

    progress = Progress()
    try:
        report = _carry_out(arguments, argv, progress)
    except KeyboardInterrupt:
        if arguments.command == "connect":  # it has said all, and ends no other way
            from learnflow_infra.findings.causes import Exit

            progress.close()
            return int(Exit.INTERRUPTED)
        report = _failed("interrupted", "stopped before the end", arguments.command)
    progress.close()
    if report is None:
        return 0
    report.seconds = time.monotonic() - started
    return _end(report, as_json=arguments.json)


def _carry_out(arguments: argparse.Namespace, argv: list[str], progress: Progress) -> Report | None:
    from learnflow_infra.report import Report

    report: Report | None
    try:
        report = _command(arguments, progress)
    except Exception as error:
        report = Report(arguments.command, findings=_findings(error))
    if report and report.unmerged_findings and hasattr(arguments, "context"):
        _warn(arguments, report)
    if report and (getattr(arguments, "verbose", False) or getattr(arguments, "report", None)):
        progress.say("gathering what else there is to know")
        try:
            _add_rest(arguments, argv, report)
        except Exception as error:
            report.findings = [*report.findings, *_findings(error)]
    return report


def _findings(error: Exception) -> Sequence[Finding]:
    from learnflow_infra.findings.failures import Failure, finding

    if isinstance(error, Failure):
        return error.findings
    # A defect of ours: said in a sentence, not in a traceback.
    return [finding("internal-error", f"{type(error).__name__}: {error}"[:300])]


def _command(arguments: argparse.Namespace, progress: Progress) -> Report | None:
    from learnflow_infra.host.deadline import Deadline

    command = arguments.command
    seconds = arguments.timeout or _SECONDS.get(command, _DEFAULT_SECONDS)
    deadline = Deadline(seconds)
    if command == "cluster":
        from learnflow_infra.commands.cluster import cluster

        purge = getattr(arguments, "purge", False)
        return cluster(arguments.action, deadline, progress.say, purge=purge)
    if command == "skills":
        from learnflow_infra.commands.skills import install

        return install(arguments.folder)

    from learnflow_infra.commands import Request

    services = tuple(dict.fromkeys(getattr(arguments, "services", ())))
    request = Request(_settings(arguments), services, deadline, progress.say)
    if command == "up":
        from learnflow_infra.commands.up import up

        return up(request)
    if command == "verify":
        from learnflow_infra.commands.verify import verify

        return verify(request)
    if command == "status":
        from learnflow_infra.commands.status import status

        return status(request)
    if command == "doctor":
        from learnflow_infra.commands.doctor import doctor

        return doctor(request)
    if command == "diagnose":
        from learnflow_infra.commands.diagnose import diagnose

        return diagnose(request, named=arguments.namespace is not None)
    if command == "down":
        from learnflow_infra.commands.down import down

        return down(request, purge=arguments.purge, confirmed=arguments.yes)
    if command == "connect":
        from learnflow_infra.commands.connect import connect
        from learnflow_infra.report import emit

        def ready(report: Report) -> None:
            progress.close()
            emit(report, as_json=arguments.json)

        connect(request, ready)
        return None
    if command == "role":
        from learnflow_infra.commands.role import role

        return role(request)
    from learnflow_infra.commands.render import render

    return render(request)


def _settings(arguments: argparse.Namespace) -> Settings:
    from learnflow_infra import settings

    return settings.override(
        settings.load(arguments.settings),
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


def _add_rest(arguments: argparse.Namespace, argv: list[str], report: Report) -> None:
    """What --verbose and --report ask for."""
    from learnflow_infra.diagnosis import support_bundle

    text = support_bundle.collect(argv, _settings(arguments), report.unmerged_findings)
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

    try:
        emit(report, as_json=as_json)
    except BrokenPipeError:
        sys.stderr.close()
    return int(report.exit_code)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise ValueError
    return value


_seconds.__name__ = "number of seconds"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="learnflow-infra",
        allow_abbrev=False,
        description="Apache Kafka and PostgreSQL in a Kubernetes: deployed, and proved to work.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help_: str, *, reads: bool = True, services: bool = True) -> Any:
        command = commands.add_parser(name, help=help_, description=help_, allow_abbrev=False)
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")
        command.add_argument(
            "--timeout", type=_seconds, metavar="SECONDS", help="bounds the whole command"
        )
        if services:
            command.add_argument(
                "services",
                nargs="*",
                metavar="SERVICE",
                type=_service,
                help="kafka or postgres; both where none is named",
            )
        if services or reads:
            command.add_argument("--settings", metavar="FILE", help="an infra.toml")
        if reads:
            which = command.add_mutually_exclusive_group()
            which.add_argument("--cluster", choices=("minikube", "local"), help="which cluster")
            which.add_argument("--context", metavar="NAME", help="a context of your kubeconfig")
            command.add_argument(
                "--verbose",
                action="store_true",
                help="more on standard error: objects, events, logs",
            )
            command.add_argument(
                "--report",
                type=_file,
                metavar="FILE",
                help="all of that into a file of yours alone",
            )
        return command

    add("up", "deploy and prove; run again, it changes nothing")
    add("verify", "prove what is deployed: pods, volumes, round trips of data")
    add("status", "a table of what is there")
    add("doctor", "look at the machine and the cluster before deploying", services=False)
    command = add(
        "diagnose", "say what is wrong in a namespace; nothing is written", services=False
    )
    command.add_argument("--namespace", metavar="NAME", help="another than the settings'")
    command = add("down", "remove what `up` made and keep the data")
    command.add_argument("--purge", action="store_true", help="remove the data too")
    command.add_argument("--yes", action="store_true", help="do not ask before --purge")
    add("connect", "open the ports on localhost until interrupted")
    add("render", "print the manifests as YAML", reads=False)
    command = add("role", "print the rights that it needs as YAML", reads=False, services=False)
    command.add_argument("--settings", metavar="FILE", help="an infra.toml")

    command = add("cluster", "the local cluster", reads=False, services=False)
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, help_ in (("up", "start it"), ("status", "say how it is"), ("down", "stop it")):
        action = actions.add_parser(name, help=help_, description=help_, allow_abbrev=False)
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
        action.add_argument("--timeout", type=_seconds, default=argparse.SUPPRESS)
        if name == "down":
            action.add_argument("--purge", action="store_true", help="leave nothing behind")

    command = add("skills", "the agent skills", reads=False, services=False)
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser("install", help="put them where an agent looks", allow_abbrev=False)
    action.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    action.add_argument("folder", nargs="?", default=".", metavar="DIR")
    return parser


def _file(text: str) -> Path:
    from pathlib import Path

    from learnflow_infra.diagnosis.support_bundle import unwritable

    if (reason := unwritable(Path(text))) is not None:
        raise argparse.ArgumentTypeError(f"{text!r} {reason}")
    return Path(text)


def _service(text: str) -> str:
    if text not in _SERVICES:
        raise argparse.ArgumentTypeError(f"{text!r} is no service; there are kafka and postgres")
    return text
