from django.apps import AppConfig


class TdsConfig(AppConfig):
    name = "tds"
    label = "tds_new"
    verbose_name = "TDS"
