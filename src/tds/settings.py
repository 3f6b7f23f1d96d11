"""Django's settings. What an operator may change comes from `environment`; the rest is the same everywhere."""

import os
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import django_stubs_ext
from csp.constants import NONE, SELF

from tds.environment import ROOT, Mode, read

django_stubs_ext.monkeypatch()

ENV = read(os.environ)

SECRET_KEY = ENV.secret_key
DEBUG = False
ALLOWED_HOSTS = [*ENV.allowed_hosts, *([] if ENV.bind in {"127.0.0.1", "0.0.0.0", "::"} else [ENV.bind])]  # noqa: S104  # compared, not bound

INSTALLED_APPS = [
    "tds.apps.TdsConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "ninja",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "tds.urls"
WSGI_APPLICATION = "tds.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "src/tds/dashboard/templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ]
        },
    }
]

_database = urlsplit(ENV.database_url)
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(_database.path.lstrip("/")),
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        "HOST": _database.hostname or "",
        "PORT": str(_database.port or 5432),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        # Compiling a chart's query takes ten times as long as running it.
        "OPTIONS": {"connect_timeout": 5, "options": "-c jit=off"},
    }
}
# Of a statement for a page or the API, over the connections that wsgi.py makes: a chart that takes longer has no reader
# any more, and the next one would wait behind it. What is done by hand and migrations take what they take.
WEB_STATEMENT_TIMEOUT_S = 30
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Rate limits of the sign-in count over all web processes, so the cache is shared even without Redis.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": ENV.redis_url}
    if ENV.redis_url
    else {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "tds_new_cache"}
}
SESSION_ENGINE = "tds.sessions" if ENV.redis_url else "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = int(timedelta(days=14).total_seconds())
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENV.https
SESSION_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = False  # the proxy in front does it
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.https else None
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if ENV.https else 0
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ENV.allowed_hosts] if ENV.https else []
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

AUTH_USER_MODEL = "tds_new.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_REDIRECT_URL = "dashboard"
LOGIN_URL = "account_login"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "tds.dashboard.accounts.ClosedSignup"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "TDS"

LANGUAGE_CODE = "pt-br"
LANGUAGES = [("pt-br", "Português"), ("en", "English")]
LOCALE_PATHS = [ROOT / "src/tds/locale"]
TIME_ZONE = "America/Sao_Paulo"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = ENV.home / "static"
# Only the files that pages load: npm's folder holds much more.
_VENDOR = {name: ROOT / "node_modules" / name / "dist" for name in ("chart.js", "chartjs-adapter-date-fns")}
STATICFILES_DIRS = [
    *((f"vendor/{name}", folder) for name, folder in _VENDOR.items() if folder.is_dir()),
    ROOT / "src/tds/dashboard/static",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "[%(levelname)s] %(message)s"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "line"}},
    "root": {"handlers": ["stdout"], "level": "INFO"},
}

TDS_STORE = ENV.store
TDS_PRODUCTION = ENV.mode is Mode.PRODUCTION
