/* What a bad network costs: a download goes on where it was cut, also over restarts. */
#include "update_bench.h"

#define SEEDS 60
#define SECTOR 4096u

typedef struct {
    uint64_t sent_bytes, image_bytes;
    uint32_t requests, cuts;
} cost_t;

static uint32_t pieces(const bench_t *bench)
{
    return bench->next.len_bytes / (HTTP_CHUNK_MAX_BYTES - 500);
}

/* `percent` of all requests do not come to their end; each is cut at some piece of it. */
static void download(uint64_t seed, uint32_t percent, cost_t *cost)
{
    bench_t *bench = test_malloc(sizeof(*bench));
    memset(bench, 0, sizeof(*bench));
    bench_begin(bench, seed);
    fake_world_t *world = &bench->world;
    fake_world_power_up(world, BOOT_POWER_ON);
    assert_true(fake_world_run_until(world, 5 * MINUTE, bench_is_online));
    bench->updates.cut_percent = percent;
    fake_updates_command(&bench->updates, "e-1", &bench->next, 7, NULL);
    fake_updates_push(&bench->updates);
    assert_true(fake_world_run_until(world, DAY, bench_is_settled));
    assert_true(bench_runs(bench, &bench->next));
    cost->sent_bytes += bench->updates.image_bytes;
    cost->image_bytes += bench->next.len_bytes;
    cost->requests += bench->updates.image_requests;
    cost->cuts += bench->updates.image_requests - 1;
    assert_in_range(pieces(bench), 20, 40);
    bench_end(bench);
    test_free(bench);
}

static void connections_that_drop_cost_at_most_a_twentieth_more(void **state)
{
    (void)state;
    /* Of each piece: so of all connections more than 30 % drop, and of a download of 29 pieces hardly any does not. */
    const uint32_t percents[] = {2, 10, 30, 60};
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        cost_t cost = {0};
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            download(seed, percents[i], &cost);
        }
        print_message("%u of 100 pieces cut: %u of %u connections dropped, %.2f %% more bytes\n", (unsigned)percents[i],
                      (unsigned)cost.cuts, (unsigned)cost.requests,
                      100.0 * (double)(cost.sent_bytes - cost.image_bytes) / (double)cost.image_bytes);
        assert_true(i == 0 || cost.cuts * 100 >= cost.requests * 30);
        assert_true(cost.sent_bytes * 100 <= cost.image_bytes * 105);
    }
}

/* What a restart costs is bounded by what lies between two notes of the progress. */
static void a_restart_costs_at_most_what_came_since_the_last_note(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        bench_t *bench = test_malloc(sizeof(*bench));
        memset(bench, 0, sizeof(*bench));
        bench_begin(bench, seed);
        fake_world_t *world = &bench->world;
        fake_world_power_up(world, BOOT_POWER_ON);
        assert_true(fake_world_run_until(world, 5 * MINUTE, bench_is_online));
        fake_updates_command(&bench->updates, "e-1", &bench->next, 7, NULL);
        fake_updates_push(&bench->updates);
        fake_world_run(world, 60 + 12 * seed);
        assert_int_equal(bench_update(world)->state, UPDATE_FETCHING);
        const uint64_t before = bench->updates.image_bytes;
        fake_world_cut_power(world);
        assert_true(fake_world_run_until(world, DAY, bench_is_settled));
        assert_true(bench_runs(bench, &bench->next));
        const uint64_t lost = bench->updates.image_bytes - bench->next.len_bytes;
        assert_true(lost <= before);
        assert_in_range(lost, 0, UPDATE_KEEP_EVERY_BYTES + SECTOR + HTTP_CHUNK_MAX_BYTES);
        bench_end(bench);
        test_free(bench);
    }
}

/* Sectors that were erased are not erased again for a cut: flash wears out. */
static void cuts_do_not_wear_the_flash_out(void **state)
{
    (void)state;
    bench_t *bench = test_malloc(sizeof(*bench));
    memset(bench, 0, sizeof(*bench));
    bench_begin(bench, 3);
    fake_world_t *world = &bench->world;
    fake_world_power_up(world, BOOT_POWER_ON);
    assert_true(fake_world_run_until(world, 5 * MINUTE, bench_is_online));
    bench->updates.cut_percent = 50;
    fake_updates_command(&bench->updates, "e-1", &bench->next, 7, NULL);
    fake_updates_push(&bench->updates);
    assert_true(fake_world_run_until(world, DAY, bench_is_settled));
    assert_in_range(bench->updates.image_requests, 10, 200);
    const uint32_t sectors = (bench->next.len_bytes + SECTOR - 1) / SECTOR;
    assert_int_equal(bench->updates.slot_flash[1].erases, sectors);
    bench_end(bench);
    test_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_that_drop_cost_at_most_a_twentieth_more),
        cmocka_unit_test(a_restart_costs_at_most_what_came_since_the_last_note),
        cmocka_unit_test(cuts_do_not_wear_the_flash_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
