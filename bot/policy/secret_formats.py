"""Formats of issued secrets that can be told by their shape alone, whatever stands around them.

Each row is a kind and a pattern of RE2 over bytes; the pattern's alphabet must hold no quote, no backslash and no white
space, so that replacing a hit keeps JSON valid. Where a format has no telling prefix, the pattern starts with `EDGE` and
the secret is its last group. Sources: the vendors' own documentation of their token formats.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFormat:
    """One format. `pattern` has exactly one group: the secret."""

    kind: str
    pattern: str


# What may stand before a format whose first letters also begin words. `\n` and its kin inside a JSON string are edges too.
EDGE = r"(?:^|[^A-Za-z0-9]|\\[nrt])"


def _prefixed(kind: str, body: str) -> SecretFormat:
    return SecretFormat(kind=kind, pattern=f"({body})")


def _edged(kind: str, body: str) -> SecretFormat:
    return SecretFormat(kind=kind, pattern=f"{EDGE}({body})")


FORMATS: tuple[SecretFormat, ...] = (
    _edged("aws_access_key_id", r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA|AGPA|ANPA)[A-Z2-7]{16}"),
    _prefixed("aws_session_token", r"(?:FwoGZXIvYXdz|IQoJb3JpZ2lu)[A-Za-z0-9+/=]{40,}"),
    _prefixed("aws_bedrock_key", r"ABSK[A-Za-z0-9+/]{100,}={0,2}"),
    _prefixed("github_token", r"gh[pousr]_[A-Za-z0-9]{20,}"),
    _prefixed("github_token", r"github_pat_[A-Za-z0-9_]{22,}"),
    _prefixed("gitlab_token", r"gl(?:pat|ptt|dt|rt|cbt|ft|imt|agent|soat|oas|ffct)-[A-Za-z0-9_\-]{16,}"),
    _prefixed("gitlab_token", r"GR1348941[A-Za-z0-9_\-]{16,}"),
    _edged("bitbucket_token", r"ATBB[A-Za-z0-9]{24,}"),
    _prefixed("atlassian_token", r"ATATT3[A-Za-z0-9_\-=]{40,}"),
    _prefixed("slack_token", r"xox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9\-]{10,}"),
    _prefixed("slack_token", r"xapp-[0-9]-[A-Za-z0-9\-]{16,}"),
    _prefixed("slack_webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_\-]{16,}"),
    _prefixed("discord_webhook", r"discord(?:app)?\.com/api/webhooks/[0-9]+/[A-Za-z0-9_\-]{20,}"),
    _edged("discord_token", r"[MNO][A-Za-z0-9_\-]{23,25}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,38}"),
    _prefixed("teams_webhook", r"webhook\.office\.com/webhookb2/[A-Za-z0-9@/\-]{40,}"),
    _prefixed("stripe_key", r"[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,}"),
    _prefixed("stripe_webhook_secret", r"whsec_[A-Za-z0-9+/=]{16,}"),
    _edged("square_token", r"(?:sq0(?:atp|csp|idp)-[A-Za-z0-9_\-]{20,}|EAAA[A-Za-z0-9_\-]{56,64})"),
    _prefixed("braintree_token", r"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}"),
    _prefixed("shopify_token", r"shp(?:at|ca|pa|ss|tka)_[A-Fa-f0-9]{32}"),
    _prefixed("google_api_key", r"AIza[A-Za-z0-9_\-]{30,}"),
    _prefixed("google_oauth_token", r"ya29\.[A-Za-z0-9_\-.]{20,}"),
    _prefixed("google_oauth_secret", r"GOCSPX-[A-Za-z0-9_\-]{20,}"),
    _edged("google_refresh_token", r"1//0[A-Za-z0-9_\-]{30,}"),
    _prefixed("jwt", r"eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?"),
    _prefixed("jwe", r"eyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*){4}"),
    _edged("twilio_key", r"(?:SK|AC)[a-f0-9]{32}"),
    _prefixed("sendgrid_key", r"SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}"),
    _edged("mailgun_key", r"(?:key-[a-f0-9]{32}|[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8})"),
    _edged("mailchimp_key", r"[a-f0-9]{32}-us[0-9]{1,2}"),
    _prefixed("sendinblue_key", r"xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    _edged("postmark_resend_key", r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}"),
    _prefixed("npm_token", r"npm_[A-Za-z0-9]{30,}"),
    _prefixed("pypi_token", r"pypi-AgE[A-Za-z0-9_\-]{40,}"),
    _prefixed("rubygems_key", r"rubygems_[a-f0-9]{40,}"),
    _edged("crates_token", r"cio[A-Za-z0-9]{32}"),
    _prefixed("docker_token", r"dckr_(?:pat|oat)_[A-Za-z0-9_\-]{20,}"),
    _edged("anthropic_key", r"sk-ant-[A-Za-z0-9_\-]{20,}"),
    _edged("openai_key", r"sk-(?:proj-|svcacct-|admin-|None-|or-v1-)?[A-Za-z0-9_\-]{20,}"),
    _prefixed("huggingface_token", r"(?:hf|api_org)_[A-Za-z]{30,}"),
    _prefixed("replicate_token", r"r8_[A-Za-z0-9]{30,}"),
    _prefixed("groq_key", r"gsk_[A-Za-z0-9]{40,}"),
    _prefixed("perplexity_key", r"pplx-[A-Za-z0-9]{32,}"),
    _prefixed("xai_key", r"xai-[A-Za-z0-9]{40,}"),
    _prefixed("databricks_token", r"dapi[a-f0-9]{32}(?:-[0-9])?"),
    _prefixed("vault_token", r"hv[sbr]\.[A-Za-z0-9_\-]{20,}"),
    _prefixed("terraform_token", r"[A-Za-z0-9]+\.atlasv1\.[A-Za-z0-9_\-=]{40,}"),
    _prefixed("doppler_token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_\-]{2,35}\.)?[A-Za-z0-9]{36,}"),
    _prefixed("infisical_pulumi_token", r"pul-[a-f0-9]{40}"),
    _prefixed("digitalocean_token", r"do[opr]_v1_[a-f0-9]{64}"),
    _prefixed("heroku_key", r"HRKU-[A-Za-z0-9_\-]{30,}"),
    _prefixed("fly_token", r"fo1_[A-Za-z0-9_\-]{40,}|fm[12][ar]?_[A-Za-z0-9+/=]{60,}"),
    _prefixed("planetscale_token", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_\-.=]{30,}"),
    _prefixed("supabase_key", r"sb[ps]_[a-f0-9]{40}|sb_secret_[A-Za-z0-9_\-]{20,}"),
    _prefixed("linear_key", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}"),
    _prefixed("notion_token", r"ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{43}"),
    _prefixed("figma_token", r"fig[do]_[A-Za-z0-9_\-]{36,}"),
    _prefixed("airtable_token", r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    _prefixed("asana_hubspot_token", r"pat-(?:na|eu)[0-9]-[a-f0-9\-]{36}"),
    _prefixed("postman_key", r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    _prefixed("grafana_token", r"gl(?:sa|c)_[A-Za-z0-9+/=_]{32,}"),
    _edged("grafana_key", r"eyJrIjoi[A-Za-z0-9+/=]{40,}"),
    _prefixed("newrelic_key", r"NR(?:AK|JS|II|RA)-[A-Za-z0-9_\-]{19,}"),
    _edged("datadog_app_key", r"ddapp_[A-Za-z0-9]{30,}|pub[a-f0-9]{32}"),
    _prefixed("sentry_token", r"sntry[su]_[A-Za-z0-9+/=_\-]{40,}"),
    _prefixed("dynatrace_token", r"dt0[a-z][0-9]{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    _edged("pagerduty_key", r"u\+[A-Za-z0-9_+\-]{18}"),
    _prefixed("age_key", r"AGE-SECRET-KEY-1[A-Z0-9]{50,}"),
    _edged("telegram_token", r"[0-9]{8,10}:A[A-Za-z0-9_\-]{32,36}"),
    _prefixed("azure_client_secret", r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.\-]{31,34}"),
    _prefixed("onepassword_token", r"ops_eyJ[A-Za-z0-9+/=_\-]{100,}"),
    _prefixed("tailscale_key", r"tskey-(?:api|auth|client|scim|webhook)-[A-Za-z0-9\-]{16,}"),
    _prefixed("cloudflare_ca_key", r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}"),
    _prefixed("facebook_token", r"EAA(?:CEdEose0cBA|[A-Z][A-Za-z0-9]{3})[A-Za-z0-9]{60,}"),
    _prefixed("password_hash", r"\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{53}"),
    _prefixed("password_hash", r"\$(?:1|5|6|y|7|apr1)\$[./A-Za-z0-9$=]{20,}"),
    _prefixed("password_hash", r"\$argon2(?:id|i|d)\$[A-Za-z0-9$=,+/]{30,}"),
    _prefixed("password_hash", r"pbkdf2_sha(?:1|256|512)\$[0-9]+\$[A-Za-z0-9+/=$]{20,}"),
)
