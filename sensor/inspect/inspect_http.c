/* HTTP/1 over streams, and as SSDP in datagrams: every request and response head, bodies passed
 * over by their length; what an upgrade or a proxy's CONNECT leads to is handed over. */
#include "base/address.h"
#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/http1.h"
#include "sensor/wire/login.h"

#define HOST_BYTES    272
#define AGENT_BYTES   240
#define PATH_BYTES    256
#define TYPE_BYTES    100
#define HEAD_HELD_MAX 16000 /* a head that is longer is read as far as it goes */
#define PENDING_MAX   16 /* requests that wait for their response: what they were matters to it */
#define SKIP_MAX      (UINT64_C(1) << 30)

#define HTTP_UNAUTHORIZED       401
#define HTTP_PROXY_UNAUTHORIZED 407

enum side_state {
    SIDE_HEAD,       /* at the first byte of a message */
    SIDE_LOST,       /* somewhere inside: a head is looked for where bytes begin */
    SIDE_BODY,       /* `left` bytes to go */
    SIDE_CHUNK,      /* at the line with a chunk's size */
    SIDE_CHUNK_DATA, /* `left` bytes to go, with the line end behind them */
    SIDE_TRAILER,    /* lines up to an empty one */
    SIDE_TO_END,     /* a body that ends with the connection */
};

/* What a response must know about its request. */
enum request_kind { REQUEST_PLAIN, REQUEST_HEAD, REQUEST_CONNECT };

struct http_side {
    uint8_t state;
    uint16_t scanned; /* of the head in hand: no end in these bytes */
    uint64_t left;
};

struct http_state {
    struct inspect_list hosts; /* of struct host_name */
    struct inspect_list texts; /* of struct http_texts: one */
    struct http_side side[2];  /* 0: requests */
    uint32_t request_count, response_count;
    uint32_t pending; /* 2 bits a request, the oldest lowest: enum request_kind */
    uint16_t
        pending_login; /* a bit a request, the oldest lowest: with credentials that were tried */
    uint16_t status;
    uint8_t pending_count;
    bool has_told_basic;
    uint8_t method_length;
    bool is_tunnel;      /* CONNECT was granted */
    uint8_t requests_of; /* direction that requests come from, 1 + direction; 0: not known */
    char method[HTTP1_METHOD_MAX];
};
static_assert(sizeof(struct http_state) <= INSPECT_PART_BYTES, "a part");

struct http_texts {
    uint16_t path_length, type_length;
    char path[PATH_BYTES];
    char type[TYPE_BYTES];
};
static_assert(sizeof(struct http_texts) <= INSPECT_PART_BYTES, "a block of a list");

struct http_agent {
    uint16_t length;
    char agent[AGENT_BYTES];
};
static_assert(sizeof(struct http_agent) <= INSPECT_PART_BYTES, "a block of a list");

struct host_name {
    uint16_t length;
    uint16_t name_length; /* without the port; 0: no valid host name */
    char name[HOST_BYTES];
};
static_assert(sizeof(struct host_name) <= INSPECT_PART_BYTES, "a block of a list");

/* ---- what is kept ---- */

/* Length of the host in a Host header without its port; 0 where it is no name (an address, other
 * bytes). */
static uint16_t name_in_host(const char *host, uint16_t length)
{
    uint16_t end = 0;
    struct ip_address address;

    while (end < length && host[end] != ':') {
        const char c = host[end];
        const bool is_name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        if (!is_name) {
            return 0;
        }
        end++;
    }
    return address_parse(host, end, &address) ? 0 : end;
}

static void keep_host(struct inspect *inspect, struct http_state *http,
                      const struct wire_span *bytes)
{
    struct host_name host = {0};

    if (bytes->length == 0 || http->hosts.count >= FLOW_HOSTS_MAX) {
        return;
    }
    host.length = inspect_copy(host.name, sizeof(host.name), bytes);
    host.name_length = name_in_host(host.name, host.length);
    for (uint32_t at = http->hosts.first; at != INSPECT_NONE; at = inspect_next(inspect, at)) {
        const struct host_name *known = inspect_item(inspect, at);
        if (known->length == host.length && memcmp(known->name, host.name, host.length) == 0) {
            return;
        }
    }
    struct host_name *kept = inspect_list_add(inspect, &http->hosts);
    if (kept == NULL) {
        inspect->statistics.pool_full++;
        return;
    }
    *kept = host;
}

/* The block with path and type, made when there is none: NULL where the pool is full. */
static struct http_texts *texts_of(struct inspect *inspect, struct http_state *http)
{
    if (http->texts.first != INSPECT_NONE) {
        return inspect_item(inspect, http->texts.first);
    }
    return inspect_list_add(inspect, &http->texts);
}

/* The second block of the list: the user agent. */
static void keep_agent(struct inspect *inspect, struct http_state *http,
                       const struct wire_span *bytes)
{
    if (bytes->length == 0 || texts_of(inspect, http) == NULL || http->texts.count != 1) {
        return;
    }
    struct http_agent *agent = inspect_list_add(inspect, &http->texts);
    if (agent != NULL) {
        agent->length = inspect_copy(agent->agent, sizeof(agent->agent), bytes);
    }
}

static void keep_request(struct inspect *inspect, struct http_state *http,
                         const struct http1 *request)
{
    const struct wire_span authority = http1_authority(request);

    http->request_count++;
    if (http->method_length == 0) {
        const struct wire_span path = http1_path(request);
        struct http_texts *texts = texts_of(inspect, http);

        http->method_length =
            (uint8_t)inspect_copy(http->method, sizeof(http->method), &request->method);
        if (texts != NULL) {
            texts->path_length = inspect_copy(texts->path, sizeof(texts->path), &path);
        }
        keep_agent(inspect, http, &request->user_agent);
    }
    keep_host(inspect, http, request->host.length > 0 ? &request->host : &authority);
}

static void keep_response(struct inspect *inspect, struct http_state *http,
                          const struct http1 *response)
{
    struct wire_span type = response->content_type;

    http->response_count++;
    if (http->status != 0) {
        return;
    }
    http->status = response->status;
    for (uint32_t i = 0; i < type.length; i++) {
        if (type.bytes[i] == ';') {
            type.length = i; /* without parameters */
        }
    }
    struct http_texts *texts = type.length > 0 ? texts_of(inspect, http) : NULL;
    if (texts != NULL) {
        texts->type_length = inspect_copy(texts->type, sizeof(texts->type), &type);
    }
}

/* ---- messages ---- */

static void push_request(struct http_state *http, enum request_kind kind, bool is_login)
{
    if (http->pending_count < PENDING_MAX) {
        http->pending_login |= (uint16_t)(is_login << http->pending_count);
        http->pending |= (uint32_t)kind << (2 * http->pending_count++);
    }
}

static enum request_kind pop_request(struct http_state *http)
{
    const enum request_kind kind = (enum request_kind)(http->pending & 3); /* none: plain */

    if (http->pending_count > 0) {
        http->pending >>= 2;
        http->pending_login >>= 1;
        http->pending_count--;
    }
    return kind;
}

static bool is_word(const struct wire_span *span, const char *word)
{
    return span->length == strlen(word) && memcmp(span->bytes, word, span->length) == 0;
}

/* What follows the head (RFC 9112 section 6.3). */
static void begin_body(struct http_side *side, const struct http1 *message, bool has_no_body)
{
    side->scanned = 0;
    side->left = 0;
    if (has_no_body) {
        side->state = SIDE_HEAD;
    } else if (message->is_chunked) {
        side->state = SIDE_CHUNK;
    } else if (message->has_content_length) {
        side->left = message->content_length;
        side->state = side->left > 0 ? SIDE_BODY : SIDE_HEAD;
    } else {
        side->state = message->is_request ? SIDE_HEAD : SIDE_TO_END;
    }
}

static bool contains(const struct wire_span *span, const char *lower)
{
    const size_t length = strlen(lower);

    for (uint32_t at = 0; at + length <= span->length; at++) {
        uint32_t same = 0;

        while (same < length && (span->bytes[at + same] | 0x20) == (uint8_t)lower[same]) {
            same++;
        }
        if (same == length) {
            return true;
        }
    }
    return false;
}

/* 101: the connection goes on in another protocol, both ways. */
static void upgrade(struct flow *flow, struct http_state *http, const struct http1 *response)
{
    http->is_tunnel = true;
    if (contains(&response->upgrade, "websocket")) {
        inspect_label(flow, APP_WEBSOCKET, APP_CERTAIN);
        inspect_switch(flow, APP_WEBSOCKET);
    } else if (contains(&response->upgrade, "h2c")) {
        inspect_label(flow, APP_HTTP2, APP_CERTAIN);
        inspect_switch(flow, APP_HTTP2);
    } else {
        inspect_label(flow, APP_UNKNOWN, 0);
        inspect_switch(flow, APP_UNKNOWN);
    }
}

/* Whether the request tries credentials; those in clear text are told once a flow. */
static bool take_login(struct inspect *inspect, const struct flow *flow, struct http_state *http,
                       const struct http1 *request)
{
    const enum login_scheme scheme = login_scheme(&request->authorization);

    if (scheme == LOGIN_BASIC && !http->has_told_basic) {
        http->has_told_basic = true;
        inspect_tell_login(inspect, flow,
                           &(struct inspect_login){.protocol = "http", .is_clear = true});
    }
    return scheme == LOGIN_BASIC || scheme == LOGIN_OTHER;
}

/* A whole head, or as much of it as there will ever be. */
static void take_message(struct inspect *inspect, struct flow *flow, struct http_state *http,
                         struct http_side *side, const struct http1 *message)
{
    if (message->is_request) {
        const enum request_kind kind = is_word(&message->method, "CONNECT") ? REQUEST_CONNECT
                                       : is_word(&message->method, "HEAD")  ? REQUEST_HEAD
                                                                            : REQUEST_PLAIN;
        keep_request(inspect, http, message);
        push_request(http, kind, take_login(inspect, flow, http, message));
        begin_body(side, message, false);
        return;
    }
    if (message->status == 101) {
        keep_response(inspect, http, message);
        upgrade(flow, http, message);
        return;
    }
    if (message->status < 200) { /* another response to the same request follows */
        side->state = SIDE_HEAD;
        side->scanned = 0;
        return;
    }
    if ((http->pending_login & 1) != 0 &&
        (message->status == HTTP_UNAUTHORIZED || message->status == HTTP_PROXY_UNAUTHORIZED)) {
        inspect_tell_login(inspect, flow,
                           &(struct inspect_login){
                               .protocol = "http", .is_refused = true, .status = message->status});
    }
    const enum request_kind kind = pop_request(http);
    keep_response(inspect, http, message);
    if (kind == REQUEST_CONNECT && message->status < 300) {
        http->is_tunnel = true;
        inspect_label(flow, APP_UNKNOWN, 0); /* what is inside will tell */
        inspect_switch(flow, APP_UNKNOWN);
        return;
    }
    begin_body(side, message,
               kind == REQUEST_HEAD || message->status == 204 || message->status == 304);
}

/* Where the head ends, looked for in what is new alone; 0: not yet. */
static uint32_t head_end(struct http_side *side, const struct wire_span *bytes)
{
    uint32_t at = side->scanned < bytes->length ? side->scanned : 0;

    while (at < bytes->length) {
        const uint8_t *line = memchr(bytes->bytes + at, '\n', bytes->length - at);
        if (line == NULL) {
            side->scanned = (uint16_t)(bytes->length < UINT16_MAX ? bytes->length : UINT16_MAX);
            return 0;
        }
        const uint32_t next = (uint32_t)(line - bytes->bytes) + 1;
        if (next < bytes->length && bytes->bytes[next] == '\n') {
            return next + 1;
        }
        if (next + 1 < bytes->length && bytes->bytes[next] == '\r' &&
            bytes->bytes[next + 1] == '\n') {
            return next + 2;
        }
        if (next + 1 >= bytes->length) { /* the line that follows may be the empty one */
            side->scanned = (uint16_t)(next - 1 < UINT16_MAX ? next - 1 : UINT16_MAX);
            return 0;
        }
        at = next;
    }
    return 0;
}

/* Lines of nothing before a request (RFC 9112 section 2.2). */
static uint32_t empty_lines(const struct wire_span *bytes)
{
    uint32_t at = 0;

    while (at < bytes->length && (bytes->bytes[at] == '\r' || bytes->bytes[at] == '\n')) {
        at++;
    }
    return at;
}

/* Bytes used of a message's head; 0: more must come; UINT32_MAX: none begins here. */
static uint32_t read_head(struct inspect *inspect, struct flow *flow, struct http_state *http,
                          const struct inspect_input *input, const struct wire_span *bytes)
{
    struct http_side *side = &http->side[input->direction];
    struct http1 message;
    const uint32_t blank = empty_lines(bytes);

    if (blank > 0) {
        side->scanned = 0;
        return blank;
    }
    const bool is_lost = side->state == SIDE_LOST;
    if ((is_lost || http->requests_of != 0) && !http1_may_begin(bytes)) {
        return UINT32_MAX; /* a body that nobody told the length of: not held until a head ends */
    }
    const uint32_t end = head_end(side, bytes);
    const bool is_final = end > 0 || input->is_last || bytes->length >= HEAD_HELD_MAX;

    if (!is_final && !is_lost) {
        /* So far it may be one. Only the first line is asked, and only while it is all there is. */
        const bool has_word =
            memchr(bytes->bytes, ' ', bytes->length) != NULL || bytes->length > HTTP1_METHOD_MAX;
        return !has_word || side->scanned > 64 || http1_parse(bytes, &message) != WIRE_MALFORMED
                   ? 0
                   : UINT32_MAX;
    }
    const enum wire_status status = http1_parse(bytes, &message);
    if (status != WIRE_OK) {
        return status == WIRE_TRUNCATED && !is_final ? 0 : UINT32_MAX;
    }
    if (!is_final) {
        return 0;
    }
    if (http->requests_of == 0) {
        http->requests_of =
            (uint8_t)(1 + (message.is_request ? input->direction : !input->direction));
    }
    if (message.is_request != (http->requests_of == 1 + input->direction)) {
        return UINT32_MAX; /* a body that looks like a head */
    }
    inspect_label(flow, APP_HTTP, APP_CERTAIN);
    side->state = SIDE_HEAD;
    take_message(inspect, flow, http, side, &message);
    if (!message.is_complete) {
        side->state = SIDE_LOST; /* the rest of the head is not there */
        return bytes->length;
    }
    return end;
}

/* Takes off what is known to be of no interest. */
static uint32_t skip_body(struct http_side *side, enum side_state then)
{
    const uint64_t step = side->left < SKIP_MAX ? side->left : SKIP_MAX;

    side->left -= step;
    if (side->left == 0) {
        side->state = (uint8_t)then;
        side->scanned = 0;
    }
    return (uint32_t)step;
}

/* Bytes used by the present state; 0: more must come; UINT32_MAX: it is lost. */
static uint32_t read_some(struct inspect *inspect, struct flow *flow, struct http_state *http,
                          const struct inspect_input *input, const struct wire_span *bytes)
{
    struct http_side *side = &http->side[input->direction];
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    struct wire_span line;

    switch ((enum side_state)side->state) {
    case SIDE_HEAD:
    case SIDE_LOST:
        return read_head(inspect, flow, http, input, bytes);
    case SIDE_BODY:
        return skip_body(side, SIDE_HEAD);
    case SIDE_CHUNK_DATA:
        return skip_body(side, SIDE_CHUNK);
    case SIDE_CHUNK: {
        uint64_t size = 0;
        const enum wire_status status = http1_chunk(&c, &size);
        if (status != WIRE_OK) {
            return status == WIRE_TRUNCATED && !input->is_last ? 0 : UINT32_MAX;
        }
        side->state = size > 0 ? SIDE_CHUNK_DATA : SIDE_TRAILER;
        side->left = size > 0 ? size + 2 : 0;
        return (uint32_t)(c.at - bytes->bytes);
    }
    case SIDE_TRAILER:
        if (!http1_line(&c, &line)) {
            return bytes->length < HEAD_HELD_MAX && !input->is_last ? 0 : UINT32_MAX;
        }
        side->state = line.length == 0 ? SIDE_HEAD : SIDE_TRAILER;
        side->scanned = 0;
        return (uint32_t)(c.at - bytes->bytes);
    case SIDE_TO_END:
    default:
        return bytes->length;
    }
}

/* SSDP: a head is a datagram. */
static void read_datagram(struct inspect *inspect, struct http_state *http,
                          const struct inspect_input *input)
{
    struct http1 message;

    if (http1_parse(&input->bytes, &message) != WIRE_OK) {
        return;
    }
    if (message.is_request) {
        keep_request(inspect, http, &message);
    } else {
        keep_response(inspect, http, &message);
    }
}

static struct inspect_step http_input(struct inspect *inspect, struct flow *flow,
                                      const struct inspect_input *input)
{
    struct http_state *http = inspect_part(inspect, flow, PART_HTTP);
    uint64_t used = 0;

    if (http == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    if (input->packet->protocol != IP_PROTOCOL_TCP) {
        read_datagram(inspect, http, input);
        return inspect_more(0);
    }
    struct http_side *side = &http->side[input->direction];
    if (input->is_after_gap) {
        side->state = SIDE_LOST;
        side->scanned = 0;
    }
    while (used < input->bytes.length && flow->app_handler == APP_HTTP) {
        const struct wire_span rest = {.bytes = input->bytes.bytes + used,
                                       .length = input->bytes.length - (uint32_t)used};
        const uint32_t step = read_some(inspect, flow, http, input, &rest);

        if (step == 0) {
            break;
        }
        if (step == UINT32_MAX) {
            if (http->requests_of == 0 && !input->is_after_gap && side->state != SIDE_LOST) {
                return inspect_stop(INSPECT_REFUSED);
            }
            side->state = SIDE_LOST;
            side->scanned = 0;
            used = input->bytes.length;
            break;
        }
        used += step;
    }
    if (flow->app_handler == APP_HTTP && side->state == SIDE_TO_END) {
        return inspect_stop(INSPECT_DIRECTION_DONE);
    }
    return (struct inspect_step){.verdict = INSPECT_MORE,
                                 .consumed_bytes = (uint32_t)used,
                                 .is_lost =
                                     side->state == SIDE_LOST && used == input->bytes.length};
}

/* Of a direction that is lost: an empty line before a head, or a head. */
static bool http_may_begin(const struct wire_span *bytes)
{
    return bytes->bytes[0] == '\r' || bytes->bytes[0] == '\n' || http1_may_begin(bytes);
}

/* ---- records ---- */

static void http_fill(const struct inspect *inspect, const struct flow *flow,
                      struct flow_record *record)
{
    const struct http_state *http = inspect_find(inspect, flow, PART_HTTP);
    const uint32_t texts_at = http->texts.first;

    record->has_http = true;
    record->http = (struct flow_http){.method = inspect_text(http->method, http->method_length),
                                      .request_count = http->request_count,
                                      .response_count = http->response_count,
                                      .status = http->status};
    if (texts_at != INSPECT_NONE) {
        const struct http_texts *texts = inspect_item(inspect, texts_at);
        const uint32_t agent_at = inspect_next(inspect, texts_at);

        record->http.path = inspect_text(texts->path, texts->path_length);
        record->http.content_type = inspect_text(texts->type, texts->type_length);
        if (agent_at != INSPECT_NONE) {
            const struct http_agent *agent = inspect_item(inspect, agent_at);
            record->http.user_agent = inspect_text(agent->agent, agent->length);
        }
    }
    for (uint32_t at = http->hosts.first; at != INSPECT_NONE; at = inspect_next(inspect, at)) {
        const struct host_name *host = inspect_item(inspect, at);
        record->http.hosts[record->http.hosts_count++] = inspect_text(host->name, host->length);
    }
    if (http->is_tunnel && flow->app_protocol == APP_UNKNOWN) { /* what is inside is not known */
        record->app = inspect_text("http", 4);
        record->app_confidence = APP_CERTAIN;
        record->app_method = inspect_text("http_message", 12);
    } else if (http->is_tunnel && flow->app_protocol != APP_HTTP) {
        record->app_carrier = inspect_text("http", 4);
    }
}

/* The counts are of one record; the rest is told in each. */
static void http_reported(struct inspect *inspect, struct flow *flow)
{
    struct http_state *http = inspect_find(inspect, flow, PART_HTTP);

    http->request_count = http->response_count = 0;
}

static void http_release(struct inspect *inspect, struct flow *flow)
{
    struct http_state *http = inspect_find(inspect, flow, PART_HTTP);

    inspect_list_free(inspect, &http->hosts);
    inspect_list_free(inspect, &http->texts);
}

/* The first Host of the flow where it is a valid name. */
static struct record_text http_server_name(const struct inspect *inspect, const struct flow *flow,
                                           uint8_t *source)
{
    const struct http_state *http = inspect_find(inspect, flow, PART_HTTP);

    if (http->hosts.first == INSPECT_NONE) {
        return inspect_text(NULL, 0);
    }
    const struct host_name *host = inspect_item(inspect, http->hosts.first);
    *source = NAME_HTTP_HOST;
    return inspect_text(host->name, host->name_length);
}

const struct inspect_app_ops inspect_http = {
    .part = PART_HTTP,
    .input = http_input,
    .may_begin = http_may_begin,
    .fill = http_fill,
    .reported = http_reported,
    .release = http_release,
    .server_name = http_server_name,
};
