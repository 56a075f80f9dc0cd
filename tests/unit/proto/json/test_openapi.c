/* Services and comments from the descriptors, and the document made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attributes.h"
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
        {"/netscope.v1.FlowService/GetFlow", "/v1/flows/{flow_id}", false, false, NULL},
        {"/netscope.v1.ConfigService/ApplyConfig", "/v1/config:apply", true, false, NULL}};
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

static unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;

    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        count++;
    }
    return count;
}

static void routes_of_one_pattern_are_one_path_with_a_method_each(void **state)
{
    (void)state;
    static const struct openapi_route routes[] = {
        {"/netscope.v1.CaptureService/StartCapture", "/v1/captures", true, false, NULL},
        {"/netscope.v1.CaptureService/ListCaptures", "/v1/captures", false, false, NULL},
        {"/netscope.v1.CaptureService/DeleteCapture", "/v1/captures/{capture_id}", true, true,
         NULL},
        {"/netscope.v1.CaptureService/GetCapture", "/v1/captures/{capture_id}", false, false,
         NULL}};
    bool ok;
    char *text = document_of(routes, ARRAY_COUNT(routes), &ok);

    assert_true(ok);
    assert_int_equal(count_of(text, "\"/v1/captures\":"), 1);
    assert_non_null(strstr(text, "\"/v1/captures\":{\"post\":{\"operationId\":"
                                 "\"CaptureService_StartCapture_0_post\""));
    assert_non_null(strstr(text, "\"get\":{\"operationId\":\"CaptureService_ListCaptures_1\""));
    assert_null(strstr(text, "CaptureService_ListCaptures_1_post"));
    assert_non_null(strstr(text, "\"/v1/captures/{capture_id}\":{\"delete\":"));
    assert_non_null(strstr(text, "CaptureService_GetCapture_3_post")); /* nothing changes by it */
    free(text);
}

static void a_route_without_a_method_is_refused(void **state)
{
    (void)state;
    static const struct openapi_route routes[] = {
        {"/netscope.v1.FlowService/No", "/v1/no", false, false, NULL}};
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
        cmocka_unit_test(routes_of_one_pattern_are_one_path_with_a_method_each),
        cmocka_unit_test(a_route_without_a_method_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
