/* Power goes at every write of a whole update: of slots, otadata, settings and outbox, in the one order in which they
 * happen, from the command until the platform knows how it ended. After each a valid image boots, and the update ends
 * in the truth: on the new image, confirmed, or back on the former one, with a failure that is told.
 *
 * With UPDATE_STORIES all reports of all stories go into that file, for the platform's own rules to judge
 * (tests/firmware/test_power_cuts_told_to_the_server.py). */
#include "update_bench.h"

typedef struct {
    uint32_t cuts, ended_new, ended_old, restarts;
} count_t;

static FILE *s_stories; /* NULL: nobody wants them */

static void print_hash(const fake_image_t *image)
{
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        (void)fprintf(s_stories, "%02x", image->sha256[i]);
    }
}

static void tell_begin(bench_t *bench, const fake_image_t *image, uint32_t cut_at, fake_flash_tear_t tear)
{
    if (s_stories != NULL) {
        (void)fprintf(s_stories, "story %s, write %u, torn %d ", image->version, (unsigned)cut_at, (int)tear);
        print_hash(&bench->factory);
        (void)fprintf(s_stories, " ");
        print_hash(image);
        (void)fprintf(s_stories, "\n");
        bench->updates.told = s_stories;
    }
}

static void tell_end(const fake_image_t *runs)
{
    if (s_stories != NULL) {
        (void)fprintf(s_stories, "runs ");
        print_hash(runs);
        (void)fprintf(s_stories, "\n");
    }
}

/* Everything that one story writes, counted; `cut_at` 0: none goes. */
static uint32_t story(uint64_t seed, const fake_program_t *bad, uint32_t cut_at, fake_flash_tear_t tear, count_t *count)
{
    bench_t *bench = test_malloc(sizeof(*bench));
    memset(bench, 0, sizeof(*bench));
    bench_begin(bench, seed);
    fake_world_t *world = &bench->world;
    const fake_image_t *image = &bench->next;
    if (bad != NULL) {
        bench_bad(bench, *bad);
        image = &bench->bad;
    }
    tell_begin(bench, image, cut_at, tear);
    fake_world_power_up(world, BOOT_POWER_ON);
    assert_true(fake_world_run_until(world, 5 * MINUTE, bench_is_online));
    bench->updates.otadata.tear = bench->updates.slot_flash[0].tear = bench->updates.slot_flash[1].tear = tear;
    world->flash.tear = tear;
    world->kv.cut = tear == FAKE_FLASH_TEAR_WHOLE ? FAKE_KV_CUT_KEEPS_NEW : FAKE_KV_CUT_KEEPS_OLD;
    const uint32_t from = world->power.operations;
    world->power.cut_at = cut_at > 0 ? from + cut_at : 0;
    fake_updates_command(&bench->updates, "e-1", image, 7, NULL);
    fake_updates_push(&bench->updates);
    const uint32_t boots = world->boots;
    /* Its time on trial, twice, and the pauses between. */
    const bool settled = fake_world_run_until(world, 2 * HOUR, bench_is_settled);
    if (!settled) {
        print_message("cut at %u, tear %d: state %d; %s\n", (unsigned)cut_at, (int)tear,
                      (int)bench_update(world)->state, bench->updates.report);
    }
    assert_true(settled);
    const uint32_t operations = world->power.operations - from;
    const bool is_new = bench_runs(bench, image);
    assert_true(is_new || bench_runs(bench, &bench->factory));
    assert_true(bench_says(bench, "\"confirmed\":true"));
    assert_true(bench_says(bench, is_new ? "\"status\":\"SUCCEEDED\"" : "\"status\":\"FAILED\""));
    assert_true(bench_says(bench, is_new ? image->version : "\"version\":\"1.0.0\""));
    assert_false(bad != NULL && is_new);
    assert_int_equal(bench_update(world)->memory.floor, is_new ? 7 : 0);
    assert_int_equal(world->power_cuts, cut_at > 0 && cut_at <= operations ? 1 : 0);
    tell_end(is_new ? image : &bench->factory);
    if (count != NULL) {
        count->cuts += world->power_cuts;
        count->ended_new += is_new ? 1 : 0;
        count->ended_old += is_new ? 0 : 1;
        count->restarts += world->boots - boots;
    }
    bench_end(bench);
    test_free(bench);
    return operations;
}

static void cut_everywhere(const char *name, const fake_program_t *bad)
{
    const uint32_t operations = story(1, bad, 0, FAKE_FLASH_TEAR_NONE, NULL);
    count_t count = {0};
    for (uint32_t cut_at = 1; cut_at <= operations; cut_at++) {
        for (int tear = 0; tear < FAKE_FLASH_TEARS; tear++) {
            (void)story(1, bad, cut_at, (fake_flash_tear_t)tear, &count);
        }
    }
    print_message("%s: %u writes, %u cuts; %u ended on the new image, %u on the former; %u starts\n", name,
                  (unsigned)operations, (unsigned)count.cuts, (unsigned)count.ended_new, (unsigned)count.ended_old,
                  (unsigned)count.restarts);
    assert_true(count.cuts >= operations * FAKE_FLASH_TEARS * 9 / 10);
    assert_true(bad == NULL ? count.ended_new > count.ended_old : count.ended_new == 0);
}

static void a_power_cut_at_every_write_of_an_update_leaves_a_valid_image_and_the_truth(void **state)
{
    (void)state;
    cut_everywhere("a good image", NULL);
}

static void a_power_cut_at_every_write_of_an_update_to_an_image_that_crashes_does_too(void **state)
{
    (void)state;
    const fake_program_t bad = FAKE_CRASHES;
    cut_everywhere("one that crashes", &bad);
}

static void a_power_cut_at_every_write_of_an_update_to_an_image_that_gives_itself_up_does_too(void **state)
{
    (void)state;
    const fake_program_t bad = FAKE_FAILS_ITSELF;
    cut_everywhere("one that fails its self-test", &bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_at_every_write_of_an_update_leaves_a_valid_image_and_the_truth),
        cmocka_unit_test(a_power_cut_at_every_write_of_an_update_to_an_image_that_crashes_does_too),
        cmocka_unit_test(a_power_cut_at_every_write_of_an_update_to_an_image_that_gives_itself_up_does_too),
    };
    const char *stories = getenv("UPDATE_STORIES");
    s_stories = stories != NULL ? fopen(stories, "w") : NULL;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return s_stories != NULL && fclose(s_stories) != 0 ? 1 : failed;
}
