"""Where a remedy is a command, it can be run as it stands."""

from __future__ import annotations

import shlex

from ..conftest import NAMESPACE, Person


def test_the_remedies_of_lost_credentials_mend_them(mended: Person) -> None:
    mended.kubectl("delete", "secret", "kafka-credentials", "-n", NAMESPACE)
    for code in ("kafka-node-password", "kafka-cluster-id"):
        answer = mended.run("up", "kafka", "--json")
        assert answer.exit_code == 1
        assert answer.codes == [code]
        kubectl, *arguments = shlex.split(answer.json["findings"][0]["remedy"].split("`")[1])
        assert kubectl == "kubectl"
        mended.kubectl(*arguments)
    assert mended.run("verify", "kafka").exit_code == 0
