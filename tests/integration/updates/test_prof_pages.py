import pytest, cProfile, pstats, time
from time import perf_counter, process_time
from django.db import connection
from django.test.utils import CaptureQueriesContext
from tests.integration.updates.test_update_pages_speed import *
def test_prof():
    tenant = seeding.tenant("acme"); site = Site.objects.create(tenant=tenant, name="G")
    rolling_out.gateways(tenant, 20000, site=site); rolling_out.gateways(tenant, 1000, "OTHER", family="relay-mfr"); rolling_out.analyzed()
    release = rolling_out.release(); client = signed_in(seeding.person("olga", tenant, role=Role.OPERATOR))
    rollout = rolling_out.launched(release, waves="1, 5 %, 25 %, 100 %"); Rollout.objects.update(current_wave=3)
    ex=list(rollout.executions.order_by("wave","place")[:500])
    RolloutEvent.objects.bulk_create(RolloutEvent(rollout=rollout, at=T0, kind="update_failed", execution=e, words={"gateway": "x"}) for e in ex)
    with seeding.own_connection() as own: counts.fold(own)
    with connection.cursor() as c: c.execute("VACUUM ANALYZE")
    page=f"/tds_new/atualizacoes/{rollout.pk}/"
    client.get(page)
    for path in (page, page+"?pagina=300", "/tds_new/atualizacoes/", f"/tds_new/telemetria/api/atualizacoes/{rollout.pk}/"):
        w,c=perf_counter(),process_time()
        for _ in range(10): client.get(path)
        print(path, "wall", (perf_counter()-w)*100, "cpu", (process_time()-c)*100)
        with CaptureQueriesContext(connection) as q: client.get(path)
        for x in sorted(q.captured_queries,key=lambda x:-float(x["time"]))[:4]: print("   ", x["time"], x["sql"][:230])
    pr=cProfile.Profile(); pr.enable(); client.get(page); pr.disable()
    pstats.Stats(pr).sort_stats("cumulative").print_stats(45)
