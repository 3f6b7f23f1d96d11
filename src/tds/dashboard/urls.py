from django.urls import path

from tds.dashboard import pages
from tds.dashboard.api import api

urlpatterns = [
    path("", pages.dashboard, name="dashboard"),
    path("api/", api.urls),
    path("opcoes/", pages.options, name="dashboard_options"),
    path("cliente/", pages.switch_tenant, name="switch_tenant"),
]
