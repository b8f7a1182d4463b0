"""What of QA.tech's API is not here, and what behaves otherwise; docs/dialects/qatech.md shows both lists."""

from fastapi import APIRouter, Request, Response

from resit.api.qatech.errors import refusal

NOT_SUPPORTED = (
    ("/v1/chat", "AI chat is not supported by Resit"),
    ("/v1/remote-tunnels", "remote tunnels are not supported by Resit: workers run inside your network"),
    ("/v1/release-checks", "AI release checks are not supported by Resit: start a run, and read its result"),
    (
        "/v1/applications/{applicationShortId}/builds",
        "application builds are not supported by Resit: tests get what they need from their repository",
    ),
)
"""Paths, with all below them, and why each of them answers 404."""

DIFFERENCES = (
    (
        "applications",
        (
            "A project has exactly one application, itself: `app_<short id of the project>`, of the kind `web`; its "
            "UUID is the project's."
        ),
    ),
    (
        "testCount of a first run",
        (
            "It is what the suite's last listing gives. For a suite that was never listed the run starts with "
            "`testCount` 0, and its tests are known once a worker has listed them."
        ),
    ),
    (
        "runTestCases before a run has its plan",
        (
            "The tests that are foreseen, as `INITIATED`. If the suite has changed since its last listing, the list "
            "and the short ids in it can still change."
        ),
    ),
    ("runTestCases[].projectTestCaseId", "An extra member. A rerun takes it, and the row's `id` as well."),
    (
        "resultTitle, evaluationThought",
        (
            "The test's own words: the first line of its failure, and the whole of it. `promptGoal` and "
            "`promptExamples` are null, because tests of a suite have no prompts."
        ),
    ),
    (
        "status `ERROR` of a run",
        (
            "A run that was not carried through - a failed setup or collection, its time limit - and none of whose "
            "tests failed; else it is `COMPLETED` and `FAILED`."
        ),
    ),
    ("flaky tests", "A test that passed on a retry is `PASSED`."),
    ("snoozed tests", "A snoozed test that failed is `FAILED`, and does not make its run `FAILED`."),
    (
        "projectShortId",
        (
            "A token that is bound to no project must say it to start a run and to list, but not to read or rerun a "
            "run, because short ids of runs are unique."
        ),
    ),
    (
        "environment.url",
        ("Tests find it as the build's URL. No preview environment is kept; its name is noted in the run's metadata."),
    ),
    (
        "environment.applicationBuildShortId, devicePresetShortId, devicePresetId",
        "404, in the older API 400: there are none.",
    ),
    ("notifications", "400: Slack is not set up. Webhooks are told of every run."),
    ("parameters", "Tests find them as JSON in the variable `QATECH_PARAMETERS`; nothing is merged."),
    ("testPlanShortIds (first version of the action)", "One test plan is taken, several are refused with 400."),
    ("exploratory, exploratoryPrompt", "Ignored."),
    (
        "X-Webhook-Signature",
        (
            "403: only digests of tokens are stored, so a signature made with one can't be verified. Send the bearer "
            "token."
        ),
    ),
    (
        "new test cases",
        (
            "Drafts: written down, listed as not enabled, and executed by no run. `expectedResult` is appended to the "
            "goal; configurations and scenarios are 404, dependencies 400."
        ),
    ),
    ("issues", "The parameter is taken and shows nothing."),
    ("trace", "One step for each try of the test; `toolCalls` is empty."),
    (
        "screenshotUrl, recordingUrl",
        "The first image and the first video among the test's attachments, as links that open for an hour.",
    ),
    ("classification", "Always `POSITIVE`."),
    (
        "outbound-ips",
        "The addresses of the server's public name (`resit serve --url`). Workers on other machines have others.",
    ),
    ("badge.svg, createdBy", "The name of the token that triggered, or of the person it belongs to."),
    ("Resit's own limits", "503 when a part of the server is away, 413 for a body over 2 MB."),
)
"""What, and what happens instead."""

router = APIRouter()
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def _declare(path: str, message: str) -> None:
    def not_supported(request: Request) -> Response:
        return refusal(request, 404, message)

    for known in (path, f"{path}/{{rest:path}}"):
        router.add_api_route(known, not_supported, methods=METHODS)


for _path, _message in NOT_SUPPORTED:
    _declare(_path, _message)
