from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_al.webhooks import DELAYS, delay_after, keys_of, signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_test_vector_of_the_standard() -> None:
    # standard-webhooks/standard-webhooks, libraries/javascript/src/webhook.test.ts, "sign function works"
    signed = signature(keys_of(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(
    st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=3), st.binary(), st.integers(0, 2**40)
)
def test_each_key_signs_and_secrets_are_read_back(keys: list[bytes], body: bytes, at: int) -> None:
    secret = " ".join("whsec_" + base64.b64encode(key).decode() for key in keys)
    assert keys_of(secret) == tuple(keys)
    expected = [hmac.new(key, b"msg_1.%d." % at + body, hashlib.sha256).digest() for key in keys]
    found = signature(keys_of(secret), "msg_1", at, body).split(" ")
    assert [base64.b64decode(part.removeprefix("v1,")) for part in found] == expected


@pytest.mark.parametrize(
    "secret",
    ["hunter2", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!!", SECRET.removeprefix("whsec_"), f"{SECRET} whsec_c2hvcnQ=",
     "whsec_" + base64.b64encode(bytes(65)).decode()],
)  # fmt: skip
def test_what_is_no_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="openssl rand") as refused:
        keys_of(secret)
    assert secret.removeprefix("whsec_")[:5] not in str(refused.value) or secret == "whsec_"


def test_the_schedule_is_the_standards_with_at_most_a_tenth_more() -> None:
    passed, starts = 0.0, []
    for attempt in range(1, len(DELAYS) + 1):
        passed += delay_after(attempt, 0.0)
        starts.append(passed)
    assert starts[0] == 5
    assert starts[1] == 5 * 60 + 5
    assert starts[-1] == 75 * 3600 + 35 * 60 + 5
    assert delay_after(2, 1.0) == pytest.approx(330.0)
    assert delay_after(99, 0.0) == 86_400.0
