/* The table of rights over all routes that the collector has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/service/role.h"
#include "collector-ui/api/fleet_private.h"
#include "proto/serve/grpc_rest.h"

/* "/v1/flows/{id}" as somebody would ask for it. */
static void fill(const char *pattern, char out[256])
{
    size_t used = 0;

    for (const char *at = pattern; *at != '\0' && used < 250; at++) {
        if (*at == '{') {
            out[used++] = '7';
            at = strchr(at, '}');
        } else {
            out[used++] = *at;
        }
    }
    out[used] = '\0';
}

static unsigned right_of(const char *pattern)
{
    char path[256];

    fill(pattern, path);
    return grpc_rest_scope(&fleet_program, path);
}

static void every_route_needs_one_right_and_some_role_has_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < fleet_program.rows_count; i++) {
        const struct grpc_row *row = &fleet_program.rows[i];

        for (unsigned j = 0; j < ARRAY_COUNT(row->rest) && row->rest[j] != NULL; j++) {
            const unsigned right = right_of(row->rest[j]);

            assert_string_not_equal(right_name(right), "none");
            assert_non_null(role_with(right));
            if (row->path != NULL) { /* by gRPC the same */
                assert_int_equal(right, grpc_scope_of(row->path));
            }
        }
    }
}

/* A path may fit a page and a method's pattern both: whichever answers it, the right is the same.
 */
static void a_page_that_looks_like_a_method_needs_the_same_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < fleet_program.rows_count; i++) {
        const struct grpc_row *row = &fleet_program.rows[i];
        char path[256];

        for (unsigned j = 0; row->page != NULL && j < ARRAY_COUNT(row->rest); j++) {
            if (row->rest[j] != NULL) {
                fill(row->rest[j], path);
                assert_int_equal(grpc_rest_scope(&fleet_program, path), grpc_scope_of(path));
            }
        }
    }
}

static void no_viewer_changes_anything(void **state)
{
    unsigned changing = 0;

    (void)state;
    for (size_t i = 0; i < fleet_program.rows_count; i++) {
        const struct grpc_row *row = &fleet_program.rows[i];

        for (unsigned j = 0; row->is_changing && j < ARRAY_COUNT(row->rest); j++) {
            if (row->rest[j] != NULL) {
                assert_int_equal(right_of(row->rest[j]) & role_find("viewer")->rights, 0);
                changing++;
            }
        }
    }
    assert_true(changing >= 6);
}

static void packets_need_their_right_and_the_rest_is_for_all_who_read(void **state)
{
    static const struct {
        const char *path;
        unsigned right;
    } tries[] = {{"/v1/packets", RIGHT_PACKETS},
                 {"/v1/packets/7", RIGHT_PACKETS},
                 {"/v1/fleet/packets/7", RIGHT_PACKETS},
                 {"/v1/captures/7.pcapng", RIGHT_PACKETS},
                 {"/v1/alerts:acknowledge", RIGHT_TRIAGE},
                 {"/v1/fleet/silences/7:delete", RIGHT_TRIAGE},
                 {"/v1/fleet/config", RIGHT_CONFIG},
                 {"/v1/fleet/config:set", RIGHT_CONFIG},
                 {"/v1/fleet/config:clear", RIGHT_CONFIG},
                 {"/v1/silences", RIGHT_FLOWS},
                 {"/v1/flows", RIGHT_FLOWS},
                 {"/v1/flows/7", RIGHT_FLOWS},
                 {"/v1/map", RIGHT_FLOWS},
                 {"/v1/live", RIGHT_FLOWS},
                 {"/metrics", RIGHT_FLOWS},
                 {"/v1/nothing", RIGHT_FLOWS}};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(tries); i++) {
        assert_int_equal(grpc_rest_scope(&fleet_program, tries[i].path), tries[i].right);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_needs_one_right_and_some_role_has_it),
        cmocka_unit_test(a_page_that_looks_like_a_method_needs_the_same_right),
        cmocka_unit_test(no_viewer_changes_anything),
        cmocka_unit_test(packets_need_their_right_and_the_rest_is_for_all_who_read)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
