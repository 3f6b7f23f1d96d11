from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path
from django.views.generic import RedirectView

from tds import health
from tds.admin import sign_in

# The sign-in of /admin/ is the site's own: one rate limit, one second factor.
admin.site.login = secure_admin_login(sign_in)  # type: ignore[method-assign]  # allauth's documented way


def no_mail(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  # a view
    """In the place of allauth's pages that write to people: the platform sends no mail, so these could only fail."""
    raise Http404


handler400 = "tds.dashboard.errors.page_not_understood"
handler500 = "tds.dashboard.errors.page_failed"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="dashboard")),
    path("healthz", health.healthz, name="healthz"),
    path("metrics", health.metrics, name="metrics"),
    path("tds_new/telemetria/", include("tds.dashboard.urls")),
    path("tds_new/gateways/", include("tds.dashboard.gateway_urls")),
    path("tds_new/atualizacoes/", include("tds.dashboard.updates.urls")),
    path("tds_new/versoes/", include("tds.dashboard.updates.release_urls")),
    path("accounts/email/", no_mail),
    path("accounts/password/reset/", no_mail),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
]
