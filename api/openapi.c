/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns rows of the table into operations: every status is either a rule over the row (a body can be of a wrong type, a
 * role can be missing) or stands in the route's answers. */
#include "api/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/openapi_schema.h"

#define PROBLEM_TYPE "urn:coldfleet:problem:"

/* Errors that clients see, by status; `anywhere`: before a request has reached an operation. */
static const struct refusal {
	int status;
	enum err_code code;
	const char *slug, *title; /* NULL: as `code` says */
	bool anywhere;
	const char *when;
} refusal_table[] = {
	{400, ERR_REQUEST, NULL, NULL, true,
	 "the request can be read in two ways or in none; a parameter is unknown or given twice, a cursor is not of "
	 "this "
	 "list"},
	{401, ERR_UNAUTHORIZED, NULL, NULL, false, "no token, or one that is unknown, expired or revoked"},
	{403, ERR_FORBIDDEN, NULL, NULL, false, "the token's role or scope is not enough"},
	{404, ERR_NOT_FOUND, NULL, NULL, true, "nothing is there, or nothing that the token may see"},
	{405, ERR_METHOD, NULL, NULL, true, "the path does not know the method; Allow lists those that it knows"},
	{408, ERR_NONE, "request-timeout", NULL, true, "the request was not complete in time"},
	{409, ERR_CONFLICT, NULL, NULL, false, "the state of the resource does not allow it"},
	{411, ERR_NONE, "length-required", NULL, true, "a body without Content-Length"},
	{412, ERR_PRECONDITION, NULL, NULL, false, "the resource is not as If-Match says"},
	{413, ERR_TOO_LARGE, NULL, NULL, true, "the body is longer than max_body_bytes"},
	{414, ERR_NONE, "target-too-long", NULL, true, "the target is longer than half of max_header_bytes"},
	{415, ERR_MEDIA, NULL, NULL, false, "the type of the body is not taken here"},
	{417, ERR_NONE, "expectation-failed", NULL, true, "Expect other than 100-continue"},
	{422, ERR_INVALID, NULL, NULL, false, "understood, but a value is not of its type or out of its bounds"},
	{428, ERR_PRECONDITION_REQUIRED, NULL, NULL, false, "If-Match is missing"},
	{429, ERR_RATE, NULL, NULL, true, "this token or this address has asked too often; Retry-After says when"},
	{431, ERR_NONE, "head-too-large", NULL, true,
	 "the head is longer than max_header_bytes, or has too many fields"},
	{500, ERR_DB_REFUSED, NULL, NULL, true, "a failure of ours; the log has the cause under the id of the request"},
	{503, ERR_DB_LOST, NULL, NULL, true, "the database or the process cannot answer now; Retry-After says when"},
	{505, ERR_NONE, "http-version", NULL, true, "not HTTP/1.1"},
};
#define REFUSALS (sizeof(refusal_table) / sizeof(refusal_table[0]))

/* Without memory there is nothing to say. */
static json_t *made(json_t *json)
{
	if (json == NULL)
		abort();
	return json;
}

static void put(json_t *object, const char *name, json_t *value)
{
	if (json_object_set_new(object, name, value) != 0)
		abort();
}

static void append(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) != 0)
		abort();
}

static json_t *ref(const char *kind, const char *name)
{
	return made(json_pack("{s:s++}", "$ref", "#/components/", kind, name));
}

static const char *status_name(int status, char name[12])
{
	snprintf(name, 12, "%d", status);
	return name;
}

static json_t *put_response(json_t *responses, int status)
{
	char name[12];
	json_t *response = ref("responses/", status_name(status, name));
	put(responses, name, response);
	return response;
}

void openapi_operation(const struct route *r, char *name, size_t size)
{
	const struct route_stream *only = r->statement == NULL && r->stream_count > 0 ? &r->streams[0] : NULL;
	const struct statement *st = only != NULL ? only->statement : r->statement;
	const char *from = st != NULL ? st->name : r->path + 1;
	if (st != NULL && strncmp(from, "api_", 4) == 0)
		from += 4;
	snprintf(name, size, "%s", from);
	for (char *p = name; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p))
			*p = '_';
	size_t end = strlen(name), form = only != NULL && only->format != NULL ? strlen(only->format) : 0;
	if (form > 0 && end > form + 1 && strcmp(name + end - form, only->format) == 0)
		name[end - form - 1] = '\0';
}

/* ---- what is said in the files ---- */

static bool merge(json_t *to, const json_t *from, const struct answers_file *f, struct err *e)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)from, name, value)
	{
		if (json_object_get(to, name) != NULL)
			return err_set(e, ERR_INTERNAL, "%s: %s is said in another file too", f->name, name);
		if (json_object_set(to, name, value) != 0)
			abort();
	}
	return true;
}

static bool read_answers(const struct answers_file *files, size_t count, json_t *schemas, json_t *operations,
			 struct err *e)
{
	for (size_t i = 0; i < count; i++) {
		json_error_t at;
		json_t *file = json_loadb((const char *)files[i].json, files[i].len, JSON_REJECT_DUPLICATES, &at);
		if (file == NULL)
			return err_set(e, ERR_INTERNAL, "%s line %d: %s", files[i].name, at.line, at.text);
		bool ok = merge(schemas, json_object_get(file, "schemas"), &files[i], e) &&
			  merge(operations, json_object_get(file, "operations"), &files[i], e);
		json_decref(file);
		if (!ok)
			return false;
	}
	return true;
}

/* ---- refusals ---- */

static json_t *problem_types(const struct refusal *f)
{
	json_t *types = made(json_array());
	for (int code = f->code == ERR_NONE ? ERR_CODES : ERR_INTERNAL; code < ERR_CODES; code++) {
		const struct err_http *h = err_http((enum err_code)code);
		json_t *type = made(json_sprintf(PROBLEM_TYPE "%s", h->slug));
		bool known = h->status != f->status;
		for (size_t i = 0; i < json_array_size(types); i++)
			known = known || json_equal(json_array_get(types, i), type);
		if (!known)
			append(types, json_incref(type));
		json_decref(type);
	}
	if (f->slug != NULL)
		append(types, made(json_sprintf(PROBLEM_TYPE "%s", f->slug)));
	return types;
}

static json_t *problem_response(const struct refusal *f)
{
	const struct err_http *h = err_http(f->code);
	json_t *example =
		made(json_pack("{s:s+,s:s,s:i,s:s,s:s}", "type", PROBLEM_TYPE, f->slug != NULL ? f->slug : h->slug,
			       "title", f->slug != NULL ? f->slug : h->title, "status", f->status, "detail", f->when,
			       "instance", "urn:coldfleet:request:6d1f0c2e-2a"));
	json_t *schema = made(json_pack("{s:[o,{s:{s:{s:i},s:{s:o}}}]}", "allOf", ref("schemas/", "Problem"),
					"properties", "status", "const", f->status, "type", "enum", problem_types(f)));
	return made(json_pack("{s:s,s:{s:{s:o,s:o}}}", "description", f->when, "content", "application/problem+json",
			      "schema", schema, "example", example));
}

static json_t *problem_schema(void)
{
	return made(json_pack("{s:s,s:s,s:[s,s,s,s,s],s:{s:{s:s},s:{s:s},s:{s:s},s:{s:s,s:s},s:{s:s,s:s}}}", "type",
			      "object", "description", "RFC 9457", "required", "type", "title", "status", "detail",
			      "instance", "properties", "type", "type", "string", "title", "type", "string", "status",
			      "type", "integer", "detail", "type", "string", "description",
			      "what was wrong, what was got and what was expected", "instance", "type", "string",
			      "description", "the id of the request, also in X-Request-Id and in the log"));
}

static bool has_checked_params(const struct route *r)
{
	for (size_t i = 0; i < r->param_count; i++)
		if (r->params[i].type != PARAM_CURSOR)
			return true;
	return false;
}

/* What follows from the row alone. */
static bool may_refuse(const struct route *r, int status)
{
	bool proved = r->role != NULL, body = r->fields != NULL || r->rows || r->reader != NULL,
	     post = strcmp(r->method, "POST") == 0;
	switch (status) {
	case 400:
		return true;
	case 401:
	case 429:
	case 500:
	case 503:
		return proved;
	case 403:
		return proved && strcmp(r->role, "viewer") != 0;
	case 412:
	case 428:
		return r->if_match;
	case 415:
		return body;
	case 422:
		return body || has_checked_params(r) || (post && proved);
	default:
		return false;
	}
}

static void put_refusals(json_t *responses, const struct route *r, const json_t *said)
{
	for (size_t i = 0; i < REFUSALS; i++) {
		char status[12];
		json_t *when =
			json_object_get(json_object_get(said, "refuses"), status_name(refusal_table[i].status, status));
		if (when == NULL && !may_refuse(r, refusal_table[i].status))
			continue;
		json_t *response = put_response(responses, refusal_table[i].status);
		if (when != NULL && json_object_set(response, "description", when) != 0)
			abort();
	}
}

/* ---- answers ---- */

static const struct {
	const char *name, *help;
} header_table[] = {
	{"ETag", "names this state of the resource, for If-Match and If-None-Match"},
	{"Location", "where it is"},
};

static json_t *response_headers(const json_t *names)
{
	json_t *headers = made(json_object());
	for (size_t i = 0; i < json_array_size(names); i++)
		for (size_t k = 0; k < sizeof(header_table) / sizeof(header_table[0]); k++)
			if (strcmp(header_table[k].name, json_string_value(json_array_get(names, i))) == 0)
				put(headers, header_table[k].name,
				    made(json_pack("{s:s,s:{s:s}}", "description", header_table[k].help, "schema",
						   "type", "string")));
	return headers;
}

static json_t *response_content(const struct route *r, const json_t *answer)
{
	json_t *content = made(json_object()), *media = json_object_get(answer, "media");
	json_t *schema = json_object_get(answer, "schema"), *example = json_object_get(answer, "example");
	if (schema != NULL)
		put(content, media != NULL ? json_string_value(media) : "application/json",
		    made(json_pack("{s:O,s:O*}", "schema", schema, "example", example)));
	for (size_t i = 0; i < r->stream_count; i++)
		put(content, r->streams[i].media, made(json_pack("{s:{s:s}}", "schema", "type", "string")));
	return content;
}

static bool is_get(const struct route *r)
{
	return strcmp(r->method, "GET") == 0;
}

static bool names_etag(const json_t *answer)
{
	const json_t *names = json_object_get(answer, "headers");
	for (size_t i = 0; i < json_array_size(names); i++)
		if (strcmp(json_string_value(json_array_get(names, i)), "ETag") == 0)
			return true;
	return false;
}

static void put_answers(json_t *responses, const struct route *r, const json_t *said)
{
	const char *status;
	json_t *answer, *answers = json_object_get(said, "answers");
	json_object_foreach(answers, status, answer)
	{
		json_t *response = made(json_pack("{s:O*}", "description", json_object_get(answer, "description")));
		if (json_object_get(answer, "headers") != NULL)
			put(response, "headers", response_headers(json_object_get(answer, "headers")));
		json_t *content = response_content(r, answer);
		if (json_object_size(content) > 0)
			put(response, "content", json_incref(content));
		json_decref(content);
		put(responses, status, response);
		if (is_get(r) && names_etag(answer))
			put(responses, "304",
			    made(json_pack("{s:s}", "description", "it is as If-None-Match says: no body")));
	}
	if (answers == NULL)
		put(responses, "200",
		    made(json_pack("{s:s,s:o}", "description", r->summary, "content", response_content(r, NULL))));
}

/* ---- operations ---- */

static json_t *parameters(const struct route *r, bool etag)
{
	json_t *all = made(json_array());
	for (size_t i = 0; i < r->param_count; i++)
		append(all, openapi_param(&r->params[i]));
	if (r->if_match)
		append(all, ref("parameters/", "If-Match"));
	if (etag && is_get(r))
		append(all, ref("parameters/", "If-None-Match"));
	if (r->live)
		append(all, ref("parameters/", "Last-Event-ID"));
	if (strcmp(r->method, "POST") == 0 && r->role != NULL)
		append(all, ref("parameters/", "Idempotency-Key"));
	return all;
}

static json_t *one_body(json_t *schema, const json_t *example)
{
	return made(json_pack("{s:o,s:O*}", "schema", schema, "example", example));
}

/* The example of rows is one for each type. */
static json_t *rows_content(const json_t *examples)
{
	static const char *const media[] = {"application/x-ndjson", "text/csv"};
	json_t *content = made(json_object());
	for (size_t i = 0; i < sizeof(media) / sizeof(media[0]); i++)
		put(content, media[i],
		    one_body(made(json_pack("{s:s}", "type", "string")), json_object_get(examples, media[i])));
	return content;
}

static json_t *fields_content(const struct route *r, const json_t *example)
{
	json_t *content = made(json_object());
	if (strcmp(r->method, "PATCH") == 0)
		put(content, "application/merge-patch+json",
		    one_body(openapi_fields(r->fields, r->field_count), example));
	put(content, "application/json", one_body(openapi_fields(r->fields, r->field_count), example));
	return content;
}

/* What a reader takes is described by its example alone. */
static json_t *reader_content(const struct route *r, const json_t *example)
{
	json_t *schema = made(json_pack("{s:s}", "type", json_is_string(example) ? "string" : "object"));
	return made(json_pack("{s:o}", r->reader->media, one_body(schema, example)));
}

static json_t *request_body(const struct route *r, const json_t *said)
{
	const json_t *example = json_object_get(said, "body");
	return made(json_pack("{s:b,s:o}", "required", 1, "content",
			      r->rows             ? rows_content(example)
			      : r->reader != NULL ? reader_content(r, example)
						  : fields_content(r, example)));
}

static json_t *description(const struct route *r)
{
	return r->role == NULL                  ? made(json_string("No token needed."))
	       : strcmp(r->role, "viewer") == 0 ? made(json_string("Any token."))
						: made(json_sprintf("A token with the role %s or admin.", r->role));
}

static json_t *operation(const struct route *r, const json_t *said, const char *name)
{
	json_t *o = made(
		json_pack("{s:s,s:s,s:o}", "operationId", name, "summary", r->summary, "description", description(r)));
	size_t tag = strncmp(r->path, "/v1/", 4) == 0 ? strcspn(r->path + 4, "/:{") : 0;
	json_t *responses = made(json_object());
	put(o, "tags", made(json_pack("[o]", tag > 0 ? json_stringn(r->path + 4, tag) : json_string("process"))));
	put(o, "security", r->role != NULL ? made(json_pack("[{s:[]}]", "bearer")) : made(json_array()));
	if (r->role != NULL)
		put(o, "x-role", made(json_string(r->role)));
	put_answers(responses, r, said);
	put_refusals(responses, r, said);
	json_t *params = parameters(r, json_object_get(responses, "304") != NULL);
	if (json_array_size(params) > 0)
		put(o, "parameters", json_incref(params));
	json_decref(params);
	if (r->fields != NULL || r->rows || r->reader != NULL)
		put(o, "requestBody", request_body(r, said));
	put(o, "responses", responses);
	return o;
}

static json_t *paths(const struct route *table, size_t count, const json_t *said)
{
	json_t *all = made(json_object());
	for (size_t i = 0; i < count; i++) {
		char name[80], method[16] = "";
		for (size_t k = 0; k < sizeof(method) - 1 && table[i].method[k] != '\0'; k++)
			method[k] = (char)tolower((unsigned char)table[i].method[k]);
		openapi_operation(&table[i], name, sizeof(name));
		json_t *path = json_object_get(all, table[i].path);
		if (path == NULL)
			put(all, table[i].path, path = made(json_object()));
		put(path, method, operation(&table[i], json_object_get(said, name), name));
	}
	return all;
}

/* ---- the whole ---- */

static json_t *header_param(const char *name, bool required, const char *help, int max)
{
	return made(json_pack("{s:s,s:s,s:b,s:s,s:{s:s,s:i,s:i}}", "name", name, "in", "header", "required", required,
			      "description", help, "schema", "type", "string", "minLength", 1, "maxLength", max));
}

static json_t *components(json_t *schemas)
{
	json_t *responses = made(json_object()), *params = made(json_object());
	for (size_t i = 0; i < REFUSALS; i++) {
		char status[12];
		put(responses, status_name(refusal_table[i].status, status), problem_response(&refusal_table[i]));
	}
	put(params, "If-Match", header_param("If-Match", true, "the ETag of what is to be changed, or *", 512));
	put(params, "If-None-Match", header_param("If-None-Match", false, "an ETag: 304 while it is the same", 512));
	put(params, "Last-Event-ID",
	    header_param("Last-Event-ID", false, "the id of the last event that came: go on after it", 64));
	put(params, "Idempotency-Key",
	    header_param("Idempotency-Key", false,
			 "any text of the client's: the same request with the same key has one effect and one answer",
			 255));
	put(schemas, "Problem", problem_schema());
	return made(json_pack("{s:{s:{s:s,s:s,s:s}},s:o,s:o,s:O}", "securitySchemes", "bearer", "type", "http",
			      "scheme", "bearer", "description",
			      "a token of POST /v1/tokens, or an access token of the "
			      "identity provider that is configured",
			      "parameters", params, "responses", responses, "schemas", schemas));
}

static json_t *anywhere(void)
{
	json_t *all = made(json_object());
	for (size_t i = 0; i < REFUSALS; i++)
		if (refusal_table[i].anywhere)
			put_response(all, refusal_table[i].status);
	return all;
}

json_t *openapi_document(const struct route *table, size_t count, const struct answers_file *files, size_t file_count,
			 struct err *e)
{
	json_t *document = NULL, *schemas = made(json_object()), *said = made(json_object());
	if (!read_answers(files, file_count, schemas, said, e))
		goto out;
	document = made(json_pack("{s:s,s:{s:s,s:s,s:s,s:{s:s,s:s}},s:[{s:s}],s:[{s:[]}],s:o,s:o,s:o}", "openapi",
				  "3.1.0", "info", "title", "coldfleet", "version", "1", "description",
				  "Trackers of vaccine cold chains: devices, what they measure, and who may ask. "
				  "x-any-request holds what a "
				  "request may be answered before it reaches an operation.",
				  "license", "name", "Apache-2.0", "identifier", "Apache-2.0", "servers", "url", "/",
				  "security", "bearer", "paths", paths(table, count, said), "components",
				  components(schemas), "x-any-request", anywhere()));
out:
	json_decref(schemas);
	json_decref(said);
	return document;
}
