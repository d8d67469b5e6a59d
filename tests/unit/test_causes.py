"""The table of causes: every code is one that a test expects, or says why none does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from learnflow_infra.findings.causes import CAUSES, Cause

TESTS = Path(__file__).parents[1]


def expected() -> str:
    """All that the tests' strings say."""
    return "\n".join(
        node.value if isinstance(node.value, str) else node.value.decode(errors="replace")
        for file in TESTS.rglob("*.py")
        if file != Path(__file__)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


@pytest.fixture(scope="module")
def said() -> str:
    return expected()


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_a_code_is_expected_by_a_test_or_says_why_not(cause: Cause, said: str) -> None:
    tested = re.search(rf"(?<![\w-]){cause.code}(?![\w-])", said) is not None
    assert tested or cause.untested


# A fault's remedy is carried out where the fault is met, in cluster/faults/test_faults.py: `up` is
# run where that is the remedy, else once the cause is gone. Of other causes, a test tries it.
TRIED = {
    "cache-unsafe": "test_a_cache_that_others_can_write_to_is_not_used",
    "certificate-authority": "test_a_certificate_is_checked_and_renewed_while_the_server_runs",
    "certificate-ending": "test_a_certificate_is_checked_and_renewed_while_the_server_runs",
    "certificate-expired": "test_a_certificate_is_checked_and_renewed_while_the_server_runs",
    "certificate-name": "test_a_certificate_is_checked_and_renewed_while_the_server_runs",
    "client-login-old": ("test_an_application_with_an_old_login_is_told_of_and_the_remedy_helps"),
    "client-unlabelled": ("test_an_application_without_the_label_is_told_of_and_the_remedy_helps"),
    "cluster-not-running": "test_a_restart_of_the_cluster_keeps_the_services_and_their_data",
    "credential-plugin-failed": "test_a_plugin_that_fails_is_told_with_its_last_words",
    "credential-plugin-missing": (
        "test_a_plugin_that_is_not_installed_is_named_and_installing_it_helps"
    ),
    "credential-plugin-terminal": "test_a_plugin_that_needs_a_terminal_says_how_to_do_without",
    "deadline-passed": "test_the_timeout_bounds_the_command",
    "declined": "test_purge_removes_the_data_and_the_namespace",
    "folder-unwritable": "test_skills_cannot_be_installed_where_nothing_can_be_written",
    "image-not-buildable": "test_an_image_that_cannot_be_had_is_left_out_again",
    "interrupted": "test_an_interrupted_up_says_so_and_the_next_goes_on",
    "kubelet-unavailable": "test_verify_tries_again_until_the_kubelet_knows_its_pods",
    "kafka-node-password": "test_the_remedies_of_what_was_changed_by_hand_mend_it",
    "lease-lost": "test_who_was_taken_for_gone_ends",
    "local-cluster-address-taken": "test_addresses_in_use_are_refused",
    "local-cluster-start-failed": "test_a_component_that_does_not_start_is_named",
    "namespace-missing": "test_a_namespace_that_is_not_there_is_wrong_usage",
    "password-unusable": "test_an_unusable_one_is_named_and_the_remedy_helps",
    "proxy-failed": "test_the_local_cluster_is_reached_around_a_proxy",
    "report-unwritable": "test_a_folder_that_went_away_meanwhile_is_a_finding",
    "scope-held": "test_another_machines_change_is_named_and_waited_for",
    "scheduler-stalled": "test_a_pod_that_the_scheduler_forgot_is_shown_to_it",
    "settings-misplaced": "test_a_file_of_the_name_in_the_working_folder_is_not_passed_over",
    "settings-not-found": "test_a_missing_file_removes_nothing",
    "volume-left": "test_what_a_purge_leaves_is_named_and_its_remedy_removes_it",
    "volume-not-new": "test_a_used_folder_is_not_taken_for_a_new_volume",
}
ABOUT_OTHERS = "it names what to look at in a workload that is not ours"
UNTRIED = {
    "api-error": "an answer of the API server's that nothing is known about has no known remedy",
    "certificate-pending": "no test brings it about",
    "client-service-links": ABOUT_OTHERS,
    "container-run": "it names what to look at where a runtime starts no container",
    "image-pull-slow": "the container runtime gives a pull that stands still up after minutes",
    "image-build-failed": "a test reaches no registry, and each run before the tests is the remedy",
    "internal-error": "no test brings it about",
    "job-failed": ABOUT_OTHERS,
    "kafka-partitions-offline": "it asks for brokers that are gone for good; faults bring others",
    "local-cluster-build-failed": "a build that goes on takes minutes; tests begin with one",
    "local-cluster-stop-failed": "no test brings it about",
    "local-cluster-unavailable": "no test brings it about",
    "minikube-start-failed": "Minikube's own start is only had where Minikube is",
    "programs-missing": "a test installs nothing, and each run before the tests is the remedy",
    "postgres-shared-memory": "only an application's large query takes so much",
    "service-without-endpoints": ABOUT_OTHERS,
    "step-slow": "it is the machine's load",
}


def faults() -> set[str]:
    """The codes of the faults after which `up` ends well."""
    return {
        str(call.args[2].value)
        for file in TESTS.glob("cluster/faults/*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "fault"
        and isinstance(call.args[2], ast.Constant)
        and not any(each.arg == "unmended" for each in call.keywords)
    }


def test_a_remedy_is_carried_out_by_a_test_or_is_said_why_not() -> None:
    mended = faults()
    assert set(CAUSES) - mended == set(TRIED) | set(UNTRIED)
    assert not set(TRIED) & set(UNTRIED)
    defined = {
        node.name
        for file in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert set(TRIED.values()) <= defined
