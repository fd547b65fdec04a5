"""The hook of deployments works with its own role on the version that was deployed.

CodeDeploy exists only on AWS: here a person calls the hook.
"""

import json

import pytest

pytestmark = pytest.mark.end_to_end


def test_the_hook_finds_the_deployed_version_of_predict_well(stack):
    hook = stack.description()["outputs"]["RolloutFunction"]
    functions = stack.cloud("lambda")
    variables = functions.get_function_configuration(FunctionName=hook)["Environment"]["Variables"]
    live = functions.get_alias(
        FunctionName=stack.description()["outputs"]["PredictFunction"], Name="live"
    )
    assert variables["NEW_VERSION"].split(":")[-1] == live["FunctionVersion"]
    answer = functions.invoke(FunctionName=hook, Payload=b"{}")
    assert json.load(answer["Payload"]) == {"status": "Succeeded", "reason": ""}
