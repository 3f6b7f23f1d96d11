"""Below /tds_new/versoes/."""

from django.urls import path

from tds.dashboard.updates import releases

urlpatterns = [
    path("", releases.page, name="releases"),
    path("enviar/", releases.upload, name="release_upload"),
    path("<int:number>/", releases.detail, name="release"),
    path("<int:number>/acao/", releases.act, name="release_act"),
]
