"""Below /tds_new/gateways/. A code begins with a letter or digit and holds no slash, so it can be no other page."""

from django.urls import path

from tds.dashboard import gateway_actions, gateways

urlpatterns = [
    path("", gateways.page, name="gateways"),
    path("<str:code>/", gateways.detail, name="gateway"),
    path("<str:code>/acao/", gateway_actions.act, name="gateway_act"),
]
