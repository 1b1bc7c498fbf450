"""Which keys hold secrets, and which of their values are no secrets.

A key is split into words at separators and at camelCase humps; what it is decided by its words, so that `db_password`,
`dbPassword` and `DB-PASSWORD` are one, and `author`, `max_tokens` or `partition_key` are none.
"""

import re
from enum import Enum
from functools import lru_cache


class Sensitivity(Enum):
    """What a key says about its value."""

    NONE = "none"
    WEAK = "weak"  # also an everyday word (`auth=ok`, `session: started`): everyday values stay
    STRONG = "strong"  # the value goes whatever it looks like


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A key that contains one of these, separators left out, holds a secret. The first that fits names the kind.
_STRONG_PARTS = (
    *("password", "passwd", "passphrase", "passcode", "passwort", "kennwort", "contraseña", "senha", "пароль", "密码"),
    *("clientsecret", "secretkey", "secret", "apikey", "accesskey", "privatekey", "signingkey", "signaturekey"),
    *("encryptionkey", "encryptkey", "cipherkey", "masterkey", "licensekey", "licencekey", "accountkey", "sharedkey"),
    *("hmackey", "authkey", "sshkey", "deploykey", "storagekey", "servicekey", "clientkey", "webhookkey", "appkey"),
    *("adminkey", "serverkey", "jwtkey", "tokenkey", "hostkey", "rsakey", "tlskey", "sslkey", "aeskey", "ingestkey"),
    *("integrationkey", "subscriptionkey", "functionskey", "routingkeysecret", "credential", "accesstoken"),
    *("refreshtoken", "authtoken", "bearertoken", "authorization", "htpasswd", "recoverycode", "backupcode"),
    *("mnemonic", "seedphrase", "connectionstring"),
)
_STRONG_WORDS = frozenset(
    (
        "pwd",
        "psw",
        "pswd",
        "pw",
        "pass",
        "token",
        "jwt",
        "cvv",
        "cvc",
        "otp",
        "totp",
        "sid",
        "sessid",
        "sessionid",
        "creds",
    )
)
_WEAK_WORDS = frozenset(("auth", "session", "sess", "cookie", "cookies", "signature", "sig", "cred", "tokens", "salt"))
# A word alone that means something else as often as a secret: `pass=12 fail=0`.
_WEAK_ALONE = frozenset(("pass", "sid"))
_PASS_WORDS = frozenset(("bypass", "compass", "trespass", "overpass", "underpass", "surpass", "encompass", "bypasses"))

# A key that ends in one of these speaks about the secret and does not hold it.
_ABOUT = _words(
    "count counts len length size limit limits max min num number total totals name names type types kind method mode "
    "policy version ver url uri urls endpoint host hostname path file filename dir directory provider id ids status "
    "state error errors expiry expires expired expiration expire ttl timeout age duration seconds secs ms at time "
    "timestamp date enabled disabled required valid invalid exists changed updated failed failures attempts retries "
    "rate usage used remaining budget bytes ref arn field column header service server svc handler manager store "
    "module format algorithm alg scope scopes issuer audience second minute hour day prompt completion input output "
    "latency requests request response cost price index position offset bucket plugin backend controller middleware "
    "check checks reset rotation created issued prefix suffix needed missing present source class label validator "
    "strength rotated lifetime window through domain samesite secure httponly"
)
_ID_HOLDERS = ("session", "secret", "sess")  # `session_id` and Vault's `secret_id` are themselves the secret
# With these words a number is a count: `max_tokens=4096`, `prompt_tokens=12`.
_COUNTING = _words(
    "tokens max min total num prompt completion input output cached cache remaining used per window context"
)

_SPLIT = re.compile(r"[^\w]+|_+|(?<=[a-zà-ÿа-я0-9])(?=[A-ZÀ-ÞА-Я])|(?<=[A-Z])(?=[A-Z][a-z])")


@lru_cache(maxsize=4096)  # keys repeat from line to line; the bound holds against made-up ones
def classify_key(key: str) -> tuple[Sensitivity, str]:
    """How sensitive a key is, and the kind of secret it names (lower snake case)."""
    words = tuple(word.lower() for word in _SPLIT.split(key) if word)
    if not words or _speaks_about(words):
        return Sensitivity.NONE, ""
    joined = "".join(words)
    for part in _STRONG_PARTS:
        if part in joined:
            return Sensitivity.STRONG, _kind(part)
    strong = [word for word in words if word in _STRONG_WORDS or _ends_as_secret(word)]
    if strong:
        alone = len(words) == 1 and words[0] in _WEAK_ALONE
        return (Sensitivity.WEAK if alone else Sensitivity.STRONG), _kind(strong[-1])
    weak = [word for word in words if word in _WEAK_WORDS]
    return (Sensitivity.WEAK, _kind(weak[-1])) if weak else (Sensitivity.NONE, "")


def _speaks_about(words: tuple[str, ...]) -> bool:
    if words[-1] not in _ABOUT:
        return False
    return not (words[-1] == "id" and len(words) > 1 and words[-2] in _ID_HOLDERS)


def _ends_as_secret(word: str) -> bool:
    """Words run together: `dbpass`, `usertoken`, `phpsessid`."""
    return word.endswith(("pass", "token", "sessid", "sessionid")) and word not in _PASS_WORDS


_KINDS = (
    ("password", ("pass", "pw", "psw", "kennwort", "contra", "senha", "пароль", "密码")),
    ("private_key", ("privatekey", "sshkey", "rsakey", "tlskey", "sslkey", "hostkey", "mnemonic", "seedphrase")),
    ("api_key", ("apikey", "accesskey", "appkey", "licen", "ingestkey", "integrationkey", "subscriptionkey")),
    ("token", ("token", "jwt")),
    ("session", ("sess", "sid", "cookie")),
    ("authorization", ("auth",)),
    ("credential", ("cred",)),
    ("signature", ("sig",)),
)


def _kind(word: str) -> str:
    return next((kind for kind, parts in _KINDS if any(part in word for part in parts)), "secret")


# No value at all, a mask, or the name of a place where the value is kept.
_EMPTY = re.compile(
    r"(?:|none|null|nil|undefined|true|false|empty|unset|n/?a|-+|\.{2,}|\*+|x{3,}|•+|\?+|_+"
    r"|[<\[]{1,2}[a-z _.:\-]{0,60}[>\]]{1,2}"
    r"|\(?(?:redacted|filtered|masked|hidden|removed|withheld|omitted|sensitive|protected)\)?"
    r"|\$\{\w{1,60}\}?|(?-i:\$[A-Z][A-Z0-9_]{1,60})|\{\{[^{}]{0,60}\}\}|\{[a-z_]{0,40}\}|%\(\w{1,40}\)s|%[sdvq]|(?-i:%[A-Z_]{1,40}%))",
    re.IGNORECASE,
)
# Code that names where the value comes from, and types. Only unquoted values can be code.
_CODE = re.compile(
    r"(?:os|process|sys|env|deno|system|config|settings|self|this|request|req|args|options|opts|params)[.\[].{0,120}"
    r"|[a-z_][a-z_.:]{0,60}\(.{0,120}|\$\(.{0,120}"
    r"|(?:str|string|bytes|int|bool|any|char|varchar|std::string|optional\[.{0,40})\??",
    re.IGNORECASE,
)
_STATUS = _words("expired invalid missing required present absent mismatch incorrect wrong rejected revoked denied")
_EVERYDAY = _STATUS | _words(
    "ok failed fail failure success succeeded successful error valid yes no on off enabled disabled granted closed "
    "opened open opening closing started starting ended created destroyed active inactive idle unknown anonymous basic "
    "bearer digest ldap oauth oauth2 saml oidc kerberos mtls ntlm negotiate redis memory cookie file default empty "
    "set changed updated accepted refresh access internal external local lax strict user admin guest public"
)


_LONGEST_WORD = 200  # characters; masks, references and statuses are shorter, and the patterns above stay cheap


def is_no_secret(value: str, *, quoted: bool) -> bool:
    """Whether a value under a sensitive key is empty, a mask, a reference to a secret kept elsewhere, or a status."""
    if len(value) >= _LONGEST_WORD:
        return False
    if value.lower() in _STATUS or _EMPTY.fullmatch(value) is not None:
        return True
    return not quoted and _CODE.fullmatch(value) is not None


def is_everyday(value: str) -> bool:
    """Whether a value under a weakly sensitive key is an everyday one: a status, a small number, a path, a duration."""
    return len(value) < _LONGEST_WORD and (
        value.lower() in _EVERYDAY or _SMALL.fullmatch(value) is not None or value.startswith(("/", "./", "~/"))
    )


_SMALL = re.compile(r"[-+]?\d{1,6}(?:\.\d+)?(?:ms|us|ns|s|m|h|d|%|b|kb|mb|gb)?|0x[0-9a-f]{1,8}", re.IGNORECASE)


def is_a_count(key: str, value: str) -> bool:
    """Whether `value` is a number under a key that counts (`max_tokens=4096`)."""
    if not value.replace(".", "", 1).replace(",", "").isdigit():
        return False
    return any(word.lower() in _COUNTING for word in _SPLIT.split(key) if word)
