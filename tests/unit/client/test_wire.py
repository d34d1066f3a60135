# SPDX-License-Identifier: Apache-2.0
"""From a call to a request, and from a reply to a result or to the error that says why there is none."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client import calls, flink, session, trouble, wire
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import (
    DinkyConfigError,
    DinkyConnectionError,
    DinkyError,
    DinkyNotFoundError,
    DinkyRefusedError,
    DinkyResponseError,
    DinkySignInError,
    FlinkJobUnknownError,
)
from airflow_provider_dinky.client.wire import Reply, SessionLost, TenantNotSet

ANONYMOUS = DinkyConfig("http://dinky:8888", name="c1")
SIGNED_IN = replace(ANONYMOUS, username="ann", password="hunter22", tenant_id=7)
WITH_TOKEN = replace(ANONYMOUS, token="issued-hunter22")
TOKEN = wire.Token("t1", ("dinky-token",))
HTML = b"<html><h1>502 Bad Gateway</h1></html>"

READ, SUBMIT, RESTART = calls.version(), calls.submit_task(7), calls.restart_task(7)
SIGNED_READ, PAGE = calls.get_task(7), calls.list_history(7)


def envelope(data: Any = None, code: Any = 0, msg: Any = "Successfully", status: int = 200) -> Reply:
    return Reply(status, json.dumps({"data": data, "code": code, "msg": msg, "success": code == 0}).encode())


def failure(call: ApiCall[Any], reply: Reply, config: DinkyConfig = SIGNED_IN) -> DinkyError:
    with pytest.raises(DinkyError) as caught:
        wire.decode(config, call, reply)
    return caught.value


# What there is an answer for.


@pytest.mark.parametrize("code", [0, "0", 0.0])
def test_success_however_the_code_is_written(code: Any) -> None:
    assert wire.decode(ANONYMOUS, READ, envelope("1.1.0", code)) == "1.1.0"


def test_success_without_a_message() -> None:
    assert wire.decode(ANONYMOUS, READ, Reply(200, b'{"data": "1.1.0", "code": 0}')) == "1.1.0"


def test_page_without_an_envelope() -> None:
    reply = Reply(200, b'{"total": 1, "success": true, "data": [{"id": 46}]}')
    assert [entry.id for entry in wire.decode(SIGNED_IN, PAGE, reply)] == [46]


@pytest.mark.parametrize("data", [None, []])
def test_empty_page(data: Any) -> None:
    assert wire.decode(SIGNED_IN, PAGE, Reply(200, json.dumps({"total": 0, "data": data}).encode())) == ()


def test_number_as_text_inside_the_data() -> None:
    instance = wire.decode(ANONYMOUS, calls.get_job_instance(7), envelope({"id": "7", "status": "RUNNING"}))
    assert instance.id == 7


# What there is none for. (kind, text, whether the outcome is unknown)

UNREADABLE = "is this a Dinky, or a proxy before it?"
FAULTS: list[Any] = [
    pytest.param(Reply(502, HTML), DinkyConnectionError, "HTTP 502 '<html><h1>502", True, id="502"),
    pytest.param(Reply(503, b""), DinkyConnectionError, "HTTP 503 ''", True, id="503 empty"),
    pytest.param(Reply(500, b'{"status": 500}'), DinkyConnectionError, "HTTP 500", True, id="500"),
    pytest.param(
        envelope(code=504, msg="upstream", status=504),
        DinkyConnectionError,
        "HTTP 504",
        True,
        id="504 with a code",
    ),
    pytest.param(
        Reply(404, HTML), DinkyResponseError, "HTTP 404: the address is not a Dinky", True, id="404"
    ),
    pytest.param(Reply(403, b"no"), DinkyResponseError, "HTTP 403; is this a Dinky", True, id="403"),
    pytest.param(Reply(302, b"", "/x"), DinkyResponseError, "HTTP 302", True, id="302"),
    pytest.param(
        Reply(200, HTML), DinkyResponseError, f"the answer is not JSON; {UNREADABLE}", True, id="HTML"
    ),
    pytest.param(
        Reply(200, b'{"data": {"a'), DinkyResponseError, "the answer is not JSON", True, id="cut JSON"
    ),
    pytest.param(
        Reply(200, b"\xff\xfe\x00"), DinkyResponseError, "the answer is not JSON", True, id="no text"
    ),
    pytest.param(Reply(200, b"[1, 2]"), DinkyResponseError, "the answer is not Dinky's", True, id="list"),
    pytest.param(Reply(200, b"5"), DinkyResponseError, "the answer is not Dinky's", True, id="number"),
    pytest.param(
        Reply(200, b'{"a": 1}'), DinkyResponseError, "the answer is not Dinky's", True, id="no code"
    ),
    pytest.param(
        Reply(200, b'{"code": "ok"}'),
        DinkyResponseError,
        "the answer is not Dinky's",
        True,
        id="code as a word",
    ),
    pytest.param(
        Reply(200, b'{"code": Infinity}'),
        DinkyResponseError,
        "the answer is not Dinky's",
        True,
        id="endless code",
    ),
    pytest.param(
        Reply(200, b"[" * 100_000), DinkyResponseError, "the answer is not JSON", True, id="deep JSON"
    ),
    pytest.param(Reply(200, b" \n"), DinkyResponseError, "the answer is empty", True, id="empty"),
    pytest.param(
        envelope(["x"]), DinkyResponseError, "the answer has an unexpected shape", True, id="wrong shape"
    ),
    pytest.param(envelope(), DinkyResponseError, "the answer has an unexpected shape", True, id="no data"),
    pytest.param(
        envelope(code=1, msg="no way"), DinkyRefusedError, "Dinky says: no way", False, id="refused"
    ),
    pytest.param(
        envelope(code="1", msg="no way"), DinkyRefusedError, "Dinky says: no way", False, id="code as text"
    ),
    pytest.param(
        envelope(code=1, msg=None), DinkyRefusedError, "Dinky says: no reason given", False, id="no reason"
    ),
    pytest.param(
        envelope("a.E: x\nCaused by: b.F: y\n\tat c.D.e(D.java:1)", 5, "a.E: x"),
        DinkyRefusedError,
        "Dinky says: b.F: y",
        False,
        id="exception",
    ),
    pytest.param(
        envelope(code=6, msg="id is missing", status=400),
        DinkyRefusedError,
        "Dinky says: id is missing",
        False,
        id="400",
    ),
]


@pytest.mark.parametrize("call", [SUBMIT, RESTART], ids=["submit", "restart"])
@pytest.mark.parametrize(("reply", "kind", "text", "unknown"), FAULTS)
def test_faults(call: ApiCall[Any], reply: Reply, kind: type[DinkyError], text: str, unknown: bool) -> None:
    error = failure(call, reply)
    assert type(error) is kind
    assert text in str(error)
    assert error.outcome_unknown is unknown
    assert str(error).startswith(f"connection 'c1' (http://dinky:8888): {call.what}: ")


@pytest.mark.parametrize("config", [ANONYMOUS, SIGNED_IN], ids=["anonymous", "signed in"])
@pytest.mark.parametrize(
    "reply", [Reply(401, HTML), envelope(code=7, msg="no", status=401), envelope(code=7, msg="no")]
)
def test_a_sign_in_asked_for_where_dinky_asks_for_none(config: DinkyConfig, reply: Reply) -> None:
    error = failure(READ, reply, config)
    assert isinstance(error, DinkySignInError)
    is_signed_out = config.has_credentials and reply.body != HTML
    assert ("Dinky signed us out" if is_signed_out else "if a proxy before Dinky wants credentials") in str(
        error
    )
    assert not error.outcome_unknown


@pytest.mark.parametrize("reply", [Reply(401, HTML), envelope(code=7, msg="pushed offline")])
def test_signed_out(reply: Reply) -> None:
    error = failure(SIGNED_READ, reply)
    assert type(error) is SessionLost
    assert "Dinky signed us out" in str(error)
    assert "a Dinky user of its own" in str(error)
    assert not error.outcome_unknown


def test_an_issued_token_that_is_not_accepted_is_final() -> None:
    error = failure(SIGNED_READ, envelope(code=7, msg="Invalid Token", status=401), WITH_TOKEN)
    assert type(error) is DinkySignInError
    assert "does not accept the token of the connection (Invalid Token)" in str(error)
    assert "only after Dinky's next restart" in str(error)


def test_nothing_at_all_is_a_wrong_tenant_where_one_is_signed_in() -> None:
    error = failure(SIGNED_READ, Reply(200, b""))
    assert type(error) is DinkySignInError
    assert "the user is not in tenant 7: check tenant_id" in str(error)


@pytest.mark.parametrize("said", ["Task Not Exist", " task not exist ", "任务不存在"])
@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (calls.get_latest_job_instance(7), DinkyNotFoundError),
        (SUBMIT, DinkyNotFoundError),
        (calls.restart_task(7, via_api=True), DinkyNotFoundError),
        (RESTART, TenantNotSet),
        (calls.cancel_task(7), TenantNotSet),
        (calls.trigger_savepoint(7), TenantNotSet),
        (calls.export_sql(7), TenantNotSet),
    ],
    ids=lambda value: value.what if isinstance(value, ApiCall) else "",
)
def test_unknown_task(call: ApiCall[Any], kind: type[DinkyError], said: str) -> None:
    error = failure(call, envelope(code=1, msg=said))
    assert type(error) is kind
    assert "that the task is in tenant 7" in str(error)
    assert not error.outcome_unknown


@pytest.mark.parametrize("said", ["Job Instance Not Exist", "作业实例不存在"])
def test_unknown_job_instance(said: str) -> None:
    error = failure(calls.get_job_instance(7), envelope(code=1, msg=said))
    assert type(error) is DinkyNotFoundError
    assert "The job instance is unknown, or the task never ran" in str(error)


def test_the_words_of_an_unknown_task_in_an_exception_are_no_unknown_task() -> None:
    assert type(failure(RESTART, envelope(None, 5, "Task Not Exist"))) is DinkyRefusedError


def test_a_restart_that_says_success_for_a_submit_that_failed() -> None:
    data = {"jobInstanceId": None, "success": False, "error": "a.E: x\nCaused by: b.F: y"}
    error = failure(RESTART, envelope(data))
    assert isinstance(error, DinkyRefusedError)
    assert (error.code, error.reason, error.trace) == (0, "b.F: y", "a.E: x\nCaused by: b.F: y")


def test_a_savepoint_that_says_failure_although_it_worked() -> None:
    data = {"success": False, "jobInfos": [{"savePoint": "s3://sp/1"}]}
    assert wire.decode(ANONYMOUS, calls.trigger_savepoint(7), envelope(data)).path == "s3://sp/1"


def test_a_refused_page_with_an_envelope() -> None:
    assert isinstance(failure(PAGE, envelope(code=1, msg="no way")), DinkyRefusedError)


def test_no_error_quotes_a_secret() -> None:
    told = "WITH ('password' = 'other99') by hunter22"
    replies = [
        envelope(code=1, msg=told),
        envelope(f"a.E: {told}", 5, told),
        envelope({"jobInstanceId": 1, "success": False, "error": told}),
        envelope({"jobInstanceId": told, "success": True}),
        envelope([told]),
        envelope(code=7, msg=told),
        Reply(502, told.encode()),
        Reply(404, told.encode()),
        Reply(200, told.encode()),
        Reply(200, json.dumps({"statement": told}).encode()),
    ]
    for reply in replies:
        error = failure(SUBMIT, reply)
        shown = [
            str(error),
            repr(error),
            *map(str, (error.__cause__, getattr(error, "trace", ""), getattr(error, "reason", ""))),
        ]
        assert "other99" not in " ".join(shown)
        assert "hunter22" not in " ".join(shown)


def test_at_most_200_characters_are_quoted() -> None:
    assert len(str(failure(READ, Reply(200, b"x" * 10_000)))) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "code", "msg", "id", "status", "jobInstanceId", "success", "jobInfos", "error"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
ALL_CALLS: list[ApiCall[Any]] = [
    READ,
    SUBMIT,
    RESTART,
    SIGNED_READ,
    PAGE,
    calls.trigger_savepoint(7),
    calls.get_job_instance(7),
    calls.get_latest_job_instance(7),
    calls.list_job_instances([1, 2]),
    calls.list_savepoints(7),
    calls.get_job_info_detail(7),
    calls.cancel_task(7),
    calls.export_sql(7),
    calls.explain_sql({}),
    calls.get_job_plan({}),
    calls.get_task_lineage(7),
    calls.get_token_info(),
    flink.job_exceptions("jm:1", "a", via_dinky=True),
    flink.job_checkpoints("jm:1", "a"),
]


@given(JSON.map(json.dumps) | st.text(), st.sampled_from([200, 204, 302, 400, 401, 404, 500]))
def test_any_answer_gives_a_result_or_a_dinky_error(body: str, status: int) -> None:
    for call in ALL_CALLS:
        with suppress(DinkyError):
            wire.decode(SIGNED_IN, call, Reply(status, body.encode("utf-8", "replace")))


# Requests


def test_the_token_goes_under_its_name() -> None:
    assert "Cookie" not in wire.build(SIGNED_IN, READ).headers
    assert wire.build(SIGNED_IN, SIGNED_READ, TOKEN).headers["Cookie"] == "dinky-token=t1; tenantId=7"
    both = wire.Token("t1", ("token", "dinky-token"))
    assert wire.build(SIGNED_IN, READ, both).headers["Cookie"] == "token=t1; dinky-token=t1; tenantId=7"


def test_extra_headers_go_to_dinky_and_nowhere_else() -> None:
    config = replace(SIGNED_IN, headers={"authorization": "Bearer g1", "cookie": "gate=g2", "ACCEPT": "*/*"})
    assert wire.build(config, READ).headers == {
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate",
        "authorization": "Bearer g1",
        "Cookie": "gate=g2",
    }
    assert wire.build(config, SIGNED_READ, TOKEN).headers["Cookie"] == "dinky-token=t1; tenantId=7; gate=g2"
    asked = wire.build(config, flink.job_exceptions("flink:8081", "a1"))
    assert asked.headers == {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}


def test_no_repr_of_a_request_or_reply_shows_the_token() -> None:
    assert "t1" not in repr(wire.build(SIGNED_IN, SIGNED_READ, TOKEN))
    assert "t1" not in repr(TOKEN)
    assert "t1" not in repr(Reply(200, b"t1", cookies={"token": "t1"}))


def test_each_kind_of_call_has_its_patience() -> None:
    config = replace(ANONYMOUS, read_timeout=1, submit_timeout=2, savepoint_timeout=3)
    patience = {
        call.what: wire.build(config, call).read_timeout
        for call in (READ, SUBMIT, RESTART, calls.cancel_task(7))
    }
    assert list(patience.values()) == [1, 2, 3, 1]
    assert wire.build(config, calls.trigger_savepoint(7)).read_timeout == 3
    assert wire.build(config, calls.cancel_task(7, with_savepoint=True)).read_timeout == 3


def test_what_starts_or_stops_a_job_goes_over_a_connection_of_its_own_and_nothing_else_does() -> None:
    fresh = {call.what for call in ALL_CALLS if wire.build(ANONYMOUS, call).fresh}
    assert fresh == {SUBMIT.what, RESTART.what, calls.trigger_savepoint(7).what, calls.cancel_task(7).what}


def test_an_address_with_a_path_keeps_it() -> None:
    assert (
        wire.build(replace(ANONYMOUS, base_url="http://proxy/dinky"), READ).url
        == "http://proxy/dinky/openapi/version"
    )


# Redirects

HERE = "http://dinky:8888/openapi/version"


def test_no_redirect() -> None:
    assert wire.redirect_target(ANONYMOUS, READ, HERE, Reply(200, b"", "/elsewhere")) is None
    assert wire.redirect_target(ANONYMOUS, READ, HERE, Reply(304, b"")) is None


@pytest.mark.parametrize("location", ["/x/openapi/version", "http://dinky:8888/x/openapi/version"])
def test_a_read_follows_a_redirect_on_the_same_host(location: str) -> None:
    target = wire.redirect_target(ANONYMOUS, READ, HERE, Reply(302, b"", location))
    assert target == "http://dinky:8888/x/openapi/version"


@pytest.mark.parametrize(
    ("call", "location", "shown"),
    [
        (READ, "http://evil:8888/openapi/version", "http://evil:8888"),
        (READ, "https://dinky:8888/openapi/version", "https://dinky:8888"),
        (READ, "http://dinky:9999/openapi/version", "http://dinky:9999"),
        (READ, "//evil/x", "http://evil"),
        (READ, "http://u:other99@evil/x", "http://u:***@evil"),
        (READ, "http://[broken", "redirects to no address"),
        (SUBMIT, "/x/openapi/submitTask", "http://dinky:8888"),
    ],
)
def test_other_redirects_are_refused(call: ApiCall[Any], location: str, shown: str) -> None:
    with pytest.raises(DinkyResponseError) as caught:
        wire.redirect_target(ANONYMOUS, call, HERE, Reply(301, b"", location))
    assert shown in str(caught.value)
    assert caught.value.outcome_unknown


# The rest


def test_trouble_before_a_call_leaves_no_doubt_about_the_call() -> None:
    with pytest.raises(DinkyConnectionError) as caught, session.before_sending():
        raise trouble.unreachable(ANONYMOUS, READ, "reset", sent=True)
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize(
    ("call", "remedy"), [(READ, "check host"), (SUBMIT, "Dinky may have carried it out")]
)
def test_an_unreachable_server_names_the_remedy(call: ApiCall[Any], remedy: str) -> None:
    assert remedy in str(trouble.unreachable(ANONYMOUS, call, "reset", sent=True))
    assert "check host" in str(trouble.unreachable(ANONYMOUS, call, "refused", sent=False))


def test_tls_that_broke_off_is_like_a_lost_connection() -> None:
    lost = trouble.tls_failed(ANONYMOUS, SUBMIT, "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF", sent=True)
    assert isinstance(lost, DinkyConnectionError)
    assert lost.outcome_unknown


@pytest.mark.parametrize(
    "said",
    [
        "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate",
        "[SSL: WRONG_VERSION_NUMBER] wrong version number",
        "[SSL: RECORD_LAYER_FAILURE] record layer failure",
        "[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version",
        "hostname 'dinky' doesn't match 'other'",
    ],
)
def test_tls_that_cannot_work_is_a_matter_of_the_connection(said: str) -> None:
    error = trouble.tls_failed(ANONYMOUS, SUBMIT, said, sent=True)
    assert isinstance(error, DinkyConfigError)
    assert "check schema (http or https), ca_bundle and verify" in str(error)
    assert not error.outcome_unknown


def test_a_secret_that_json_has_escaped_is_masked_in_an_answer_of_the_wrong_shape() -> None:
    config = DinkyConfig("http://dinky:8888", username="airflow", password="pässwörd-here")
    body = json.dumps({"code": 0, "msg": "", "data": {"id": "no number", "name": "pässwörd-here"}}).encode()
    assert b"\\u00e4" in body

    with pytest.raises(DinkyResponseError) as caught:
        wire.decode(config, calls.get_job_instance(1), wire.Reply(200, body))
    assert "no number" in str(caught.value)
    assert "rd-here" not in str(caught.value)


# Flink's 404.


def not_found(job_id: str) -> Reply:
    said = f"...NotFoundException: Job {job_id} not found\nCaused by: ...FlinkJobNotFoundException: Could not find"
    return Reply(404, json.dumps({"errors": [said]}).encode())


def test_flink_says_that_it_does_not_know_the_job() -> None:
    call = flink.job_details("jm:8081", "a1b2")
    assert isinstance(failure(call, not_found("a1b2")), FlinkJobUnknownError)


@pytest.mark.parametrize(
    "reply", [not_found("c3d4"), Reply(404, HTML), Reply(404, b'{"errors": ["Not found: /jobs/a1b2"]}')]
)
def test_any_other_404_proves_nothing_of_the_job(reply: Reply) -> None:
    error = failure(flink.job_details("jm:8081", "a1b2"), reply)
    assert type(error) is DinkyResponseError
