"""What of the Sample Platform's API is not there, and what is there and behaves in another way.

Each entry is a request or a subject, and what happens instead. ``docs/dialects/ccextractor.md`` shows both lists; a
test holds them together.
"""

NOT_SUPPORTED: tuple[tuple[str, str], ...] = (
    (
        "POST /runs/1/restart",
        "405; no run is ever wiped: `POST /runs/{run_id}/retry` makes a new one",
    ),
    (
        "POST /runs/1/samples/1/baseline-approval",
        "404; expected outputs are kept with the tests: change them there, and run again",
    ),
    (
        "GET /runs/1/samples/1/logs",
        "404 `log_not_found`; read the log of the run, which holds the lines of all tests",
    ),
    ("POST /regression-tests", "403; tests come from the code of the test repository: change it, and run it once"),
    ("PATCH /regression-tests/1", "403; the same"),
    ("DELETE /regression-tests/1", "409; the same"),
    ("GET /runs?ccx_version=0.94", "400; Resit knows no releases: filter by `commit_sha`"),
    ("POST /auth/signup", "404; the operator makes accounts with `resit user add`"),
    ("PATCH /auth/me", "405; an account is closed with `resit user disable`, and another one made"),
    ("GET /users", "404; `resit user list`"),
    ("POST /samples/upload", "405; a sample is a file of tests, which comes with the test repository"),
    ("GET /categories", "404; the categories are the first folders of the samples' paths"),
    ("GET /tags", "404; the tags are those of the tests"),
    ("GET /system/maintenance", "404; a project's limit of runs at work is set with `resit project set --max-runs`"),
)
"""Requests that are refused, and what to do in their place."""

DIFFERENCES: tuple[tuple[str, str], ...] = (
    (
        "Retry",
        (
            "As the older design says it: always a new run, its source is never touched. The server's later `restart` "
            "wipes the results of a run; here it is refused."
        ),
    ),
    (
        "Retry of failed tests",
        (
            "Takes exactly the tests that are `fail` or `missing_output`, and the rest of Playwright's serial groups, "
            "which can't run in parts. With none of them: 422. A test that is gone from the code since is not refused: "
            "it is listed as `not_started` and makes the run `fail`."
        ),
    ),
    (
        "`Idempotency-Key`",
        "A header that retry and `POST /runs` take: a request that is sent again with its key makes no second run.",
    ),
    (
        "`POST /runs`",
        (
            "The run is of the project that tests the `repository`, in its environment for the `platform`. Without "
            "such a project within the token's reach: 403, with several: 422. Nothing is built and no build is looked "
            "up; the commit is checked out only where the tests live in the same repository, else it is what the run "
            "shows. `pull_request` is kept and shown."
        ),
    ),
    ("Runs without a commit", "Made in another way than by this API, they show forty zeros, or the tests' own commit."),
    (
        "Status of runs",
        (
            "All seven words can be filtered by. `incomplete` is a run that skipped all its tests. A run that was "
            "stopped by a fault outside its tests is `error`, even if all that it executed passed."
        ),
    ),
    (
        "Status of tests",
        (
            "A test without a result is listed too. `missing_output` is a test that broke before it could fail (in its "
            "setup, for example); `not_started` is also one that was lost with its worker or is gone from the code, "
            "which makes the run `fail`."
        ),
    ),
    ("Before a run has its plan", "Its list of samples is empty; configuration and summary tell what is foreseen."),
    (
        "`regression_test_ids` of a configuration",
        "At most 500, as the contract says; with more, `truncated` and `regression_test_count` stand beside them.",
    ),
    ("Summary", "The four counts add up to the total; `skipped_count` has all tests without a result."),
    ("Samples", "Are files of tests: `sha` is the SHA-256 of the path, and the category is its first folder."),
    (
        "Regression tests",
        (
            "Are test cases; `command` is the framework's id of the test. `exit_code`, `expected_rc` and expected "
            "outputs are not known."
        ),
    ),
    (
        "Outputs",
        (
            "Are the attachments of a test whose names end in `-expected` and `-actual`, numbered by name, and what it "
            "printed. Texts of up to 10 MiB and 20000 lines are compared; for others `diff` is 422."
        ),
    ),
    (
        "Errors",
        (
            "One item a test, with the messages of all its failures: `test_failure` or `missing_output`, never another "
            "type. `failure_signature` is `missing_output` or null. Unknown types and severities are 400."
        ),
    ),
    (
        "Infrastructure errors",
        "The run's problems, tests that were lost with their workers (`worker`), and tests that are gone (`build`).",
    ),
    (
        "Times of errors",
        "Whole seconds with Z, like all others. Lines of logs have no times (null), as with the server.",
    ),
    (
        "Logs",
        "50 lines where no limit is given. `next_cursor` is a number; a page can have fewer lines and a next one.",
    ),
    (
        "Rate limits",
        "Reads and writes are counted apart, over all processes. The health of the server has 600 a minute.",
    ),
    (
        "Tokens",
        (
            "People sign in with e-mail and password; the operator's `resit token create` makes tokens without a "
            "person, which have the role contributor (admin with the scope `admin`) and may be bound to a project. A "
            "token that never ends shows the year 9999."
        ),
    ),
    ("What belongs to another project", "Does not exist: 404."),
    ("No runs left this month, or suspended", "403 `forbidden`, with the reason in the message."),
)
"""What behaves in another way than the contract or the server."""
