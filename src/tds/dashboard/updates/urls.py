"""Below /tds_new/atualizacoes/."""

from django.urls import path

from tds.dashboard.updates import actions, rollout_list, rollout_page, wizard

urlpatterns = [
    path("", rollout_list.page, name="rollouts"),
    path("nova/", wizard.page, name="rollout_new"),
    path("<int:number>/acao/", actions.act, name="rollout_act"),
    path("<int:number>/", rollout_page.page, name="rollout"),
]
