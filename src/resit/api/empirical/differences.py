"""What of Empirical's API is not there, and what is there and behaves in another way.

Each entry is a request or a subject, and what happens instead. ``docs/dialects/empirical.md`` shows both lists; a test
holds them together.
"""

NOT_SUPPORTED: tuple[tuple[str, str], ...] = (
    ("GET /api/test-runs/1/results", "404; the vendor took it away as well: `GET /api/v2/test-runs/{id}/cases`"),
    ("POST /api/environment-variables", "405; variables and secrets are set with `resit env set`"),
    ("POST /api/api-keys", "405; keys are made with `resit token create`, which prints them once"),
    ("PATCH /api/api-keys/1", "405; a key can be deleted, and not disabled for a while"),
    ("DELETE /api/snoozes/1", "405, as with the vendor; a snooze is ended with `expire_now`"),
    ("DELETE /api/environments/1", "405, as with the vendor; an environment is closed with `is_disabled`"),
    ("POST /api/projects", "404; suites are registered with `resit project add`"),
    ("GET /api/files", "404; the old name of `/api/resources`"),
)
"""Requests that are refused, and what to do in their place."""

DIFFERENCES: tuple[tuple[str, str], ...] = (
    (
        "The branch of the build",
        (
            "A branch of the test repository that is named like `build.branch` is taken if there is one, else the "
            "project's. None is made, and nothing is merged into it."
        ),
    ),
    (
        "`test_run_branch`",
        (
            "Which branch of the test repository is taken is known when the suite is listed. Until then, and for "
            "a folder, it is the one that was asked for, or `main`."
        ),
    ),
    (
        "`POST /api/projects/merge-branches`",
        "Answers 200 and does nothing: Resit makes no branches, so none has to follow a merge.",
    ),
    (
        "Error codes",
        (
            "`merge_conflict` and `merge_reports_failed` never occur, because nothing is merged. `error_message` "
            "says in words what went wrong."
        ),
    ),
    ("Cancelling", "A run is cancelled at once; the state `cancelling` is never shown."),
    (
        "Lost tests",
        ("A test that was planned and not found, or whose worker died twice, is `failed`. It is never left out."),
    ),
    (
        "Tests that did not run",
        (
            "A test that its framework left out because one before it failed is `skipped`, and keeps the run from "
            "passing."
        ),
    ),
    (
        "Runs that only skipped tests",
        "They are `ended`, and neither `passed` nor `failed`: nothing was tested. Their badge says `skipped`.",
    ),
    (
        "Counters",
        "`null` until the run is over. Tests of a cancelled run that have no result count as `skipped`.",
    ),
    ("Concurrent changes", "What the state of a thing does not allow is a 400; only a late cancel is a 412."),
    (
        "Which tests a re-run takes",
        (
            "`test_case_ids` wins over `rerun_only_failed`. A serial group of Playwright runs whole, so "
            "`dependencies` of test cases is always `null`."
        ),
    ),
    (
        "Tags of test cases",
        (
            "Later runs choose tests by the tags that were set; the test's source is never edited, so "
            "`source_file_updated` is `false`."
        ),
    ),
    (
        "`sync_error`",
        (
            "Always `null`. Test cases are seen when a run lists the suite; a suite that can't be listed is an "
            "error of that run."
        ),
    ),
    (
        "Environments",
        (
            "Never come from a file in the test repository, so `env_files` is empty and nothing is refused on "
            "that ground. No filters (`[]`) means all. `scheduled_trigger` is a cron expression in UTC, and all tests "
            "of the environment run then."
        ),
    ),
    (
        "Snoozes",
        (
            "Last at most 366 days. Those that hold when a run's work begins count for it. A name that no test "
            "has covers nothing."
        ),
    ),
    (
        "Notifications",
        "Resit sends no chat messages; `send_notifications` is kept and shown. Webhooks are told in any case.",
    ),
    (
        "Keys",
        (
            "Are tokens of Resit with scopes. Listing keys needs `tokens:manage`, and `GET /api/test-runs/{id}` "
            "needs `runs:read` and `results:read`. Values of variables are never shown."
        ),
    ),
    (
        "Sizes",
        (
            "A body has at most 2 MB, 100 tags, 100 metadata entries and 500 variables; names of variables that "
            "begin with `RESIT_` are refused; a history batch has at most 1000 test cases."
        ),
    ),
    (
        "More members",
        (
            "Answers have a few members that the vendor's do not have: `result`, `project_id`, `environment_id` "
            "and `error_message` of runs."
        ),
    ),
)
"""What behaves in another way."""
