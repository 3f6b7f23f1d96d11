from django.urls import path

from tds.dashboard import ledger, pages, platform_status, quarantine
from tds.dashboard.api import api

urlpatterns = [
    path("", pages.dashboard, name="dashboard"),
    path("api/", api.urls),
    path("registro/", ledger.page, name="ledger"),
    path("quarentena/", quarantine.page, name="quarantine"),
    path("quarentena/acao/", quarantine.act, name="quarantine_act"),
    path("quarentena/exportar/", quarantine.export, name="quarantine_export"),
    path("situacao/", platform_status.page, name="platform_status"),
    path("opcoes/", pages.options, name="dashboard_options"),
    path("cliente/", pages.switch_tenant, name="switch_tenant"),
]
