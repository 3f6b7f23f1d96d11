"""The web's entry point. gunicorn loads it once, and then divides itself into its workers."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from tds.settings import DATABASES, WEB_STATEMENT_TIMEOUT_S

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tds.settings")
application = get_wsgi_application()
DATABASES["default"]["OPTIONS"]["options"] += f" -c statement_timeout={WEB_STATEMENT_TIMEOUT_S}s"

# All pages' modules now rather than at the first request: the workers share their memory, and no reader waits for them.
_ = get_resolver().url_patterns
# What is loaded stays for ever. Left in the collector's sight, it would be walked in full during every chart of a
# month, whose thousands of points start a collection: that was half of the slowest answers' time.
gc.collect()
gc.freeze()
