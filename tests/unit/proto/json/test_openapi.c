/* Services and comments from the descriptors, and the document made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/json/openapi.h"
#include "proto/json/service_index.h"

#define DOCUMENT_BYTES ((size_t)512 * 1024)

static void methods_are_found_with_their_messages(void **state)
{
    (void)state;
    const struct json_method *method = json_method_find("/netscope.v1.FlowService/GetFlow");

    assert_non_null(method);
    assert_string_equal(method->input->full_name, "netscope.v1.GetFlowRequest");
    assert_string_equal(method->output->full_name, "netscope.v1.GetFlowResponse");
    assert_false(method->is_stream);
    assert_true(json_method_find("netscope.v1.FlowService/ObserveFlows")->is_stream);
    assert_null(json_method_find("netscope.v1.FlowService/GetFlows"));
}

static void comments_of_the_proto_files_are_found_by_full_name(void **state)
{
    (void)state;
    assert_string_equal(json_comment("netscope.v1.FlowService.GetFlow"), "One flow alive now.");
    assert_string_equal(json_comment("netscope.v1.GetFlowRequest.community_id"),
                        "Its Community ID.");
    assert_string_equal(json_comment("netscope.v1.FlowOrder.FLOW_ORDER_RTT"),
                        "By round-trip time, largest first.");
    /* Nested in a message, and over two lines. */
    assert_string_equal(json_comment("google.rpc.BadRequest.FieldViolation.field"),
                        "Path of the field: \"page_size\".");
    assert_string_equal(json_comment("netscope.v1.NoSuchThing"), "");
}

static char *document_of(const struct openapi_route *routes, size_t count, bool *ok)
{
    char *text = calloc(1, DOCUMENT_BYTES);
    struct json_writer json;
    const struct openapi_settings settings = {
        .title = "t", .version = "1", .description = "d", .routes = routes, .routes_count = count};

    assert_non_null(text);
    json_init(&json, text, DOCUMENT_BYTES - 1);
    *ok = openapi_write(&settings, &json) && !json.overflow;
    text[json.length] = '\0';
    return text;
}

static void the_document_has_each_route_and_every_message_it_refers_to(void **state)
{
    (void)state;
    static const struct openapi_route routes[] = {
        {"/netscope.v1.FlowService/GetFlow", "/v1/flows/{flow_id}", false, NULL},
        {"/netscope.v1.ConfigService/ApplyConfig", "/v1/config:apply", true, NULL}};
    bool ok;
    char *text = document_of(routes, 2, &ok);

    assert_true(ok);
    assert_non_null(strstr(text, "\"/v1/flows/{flow_id}\":{\"get\":{\"operationId\":"
                                 "\"FlowService_GetFlow_0\""));
    /* A path parameter is one, and not a query parameter. */
    assert_non_null(strstr(text, "\"name\":\"flow_id\",\"in\":\"path\",\"required\":true"));
    assert_null(strstr(text, "\"name\":\"flow_id\",\"in\":\"query\""));
    assert_non_null(strstr(text, "\"name\":\"community_id\",\"in\":\"query\""));
    /* What changes something has no GET. */
    assert_non_null(strstr(text, "\"/v1/config:apply\":{\"post\""));
    for (const char *at = strstr(text, "#/components/schemas/"); at != NULL;
         at = strstr(at + 1, "#/components/schemas/")) {
        char key[256];
        const char *name = at + strlen("#/components/schemas/");

        (void)snprintf(key, sizeof(key), "\"%.*s\":{\"type\":", (int)strcspn(name, "\""), name);
        assert_non_null(strstr(text, key));
    }
    free(text);
}

static void a_route_without_a_method_is_refused(void **state)
{
    (void)state;
    static const struct openapi_route routes[] = {
        {"/netscope.v1.FlowService/No", "/v1/no", false, NULL}};
    bool ok;
    char *text = document_of(routes, 1, &ok);

    assert_false(ok);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_are_found_with_their_messages),
        cmocka_unit_test(comments_of_the_proto_files_are_found_by_full_name),
        cmocka_unit_test(the_document_has_each_route_and_every_message_it_refers_to),
        cmocka_unit_test(a_route_without_a_method_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
