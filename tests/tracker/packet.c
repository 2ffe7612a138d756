/* SPDX-License-Identifier: Apache-2.0
 *
 * MQTT 5 (OASIS standard of 7 March 2019), chapter 3. */
#include "tests/tracker/packet.h"

#include <string.h>

enum {
	CONNECT = 0x10,
	PUBLISH_QOS1 = 0x32,
	SUBSCRIBE = 0x82, /* with the flags that 3.8.1 asks for */
	PINGREQ = 0xc0,
	RECEIVE_MAXIMUM = 0x21,
	CONTENT_TYPE = 0x03,
	RESPONSE_TOPIC = 0x08
};

/* ---- writing ---- */

struct writer {
	uint8_t *at;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
	memcpy(w->at, bytes, len);
	w->at += len;
}

static void put_byte(struct writer *w, unsigned value)
{
	*w->at++ = (uint8_t)value;
}

static void put_u16(struct writer *w, size_t value)
{
	put_byte(w, (unsigned)(value >> 8));
	put_byte(w, (unsigned)value & 0xff);
}

static void put_varint(struct writer *w, size_t value)
{
	for (; value >= 0x80; value >>= 7)
		put_byte(w, (unsigned)(value & 0x7f) | 0x80);
	put_byte(w, (unsigned)value);
}

static void put_text(struct writer *w, const char *text)
{
	put_u16(w, strlen(text));
	put(w, text, strlen(text));
}

size_t packet_connect(uint8_t out[PACKET_SMALL], const char *client_id, uint16_t keepalive, uint16_t receive_maximum)
{
	struct writer w = {out};

	put_byte(&w, CONNECT);
	put_varint(&w, 6 + 1 + 1 + 2 + 1 + 3 + 2 + strlen(client_id));
	put_text(&w, "MQTT");
	put_byte(&w, 5);
	put_byte(&w, 0); /* no clean start, no will, no user name */
	put_u16(&w, keepalive);
	put_varint(&w, 3);
	put_byte(&w, RECEIVE_MAXIMUM);
	put_u16(&w, receive_maximum);
	put_text(&w, client_id);
	return (size_t)(w.at - out);
}

size_t packet_subscribe(uint8_t out[PACKET_SMALL], uint16_t id, const char *filter)
{
	struct writer w = {out};

	put_byte(&w, SUBSCRIBE);
	put_varint(&w, 2 + 1 + 2 + strlen(filter) + 1);
	put_u16(&w, id);
	put_varint(&w, 0);
	put_text(&w, filter);
	put_byte(&w, 0); /* QoS 0 */
	return (size_t)(w.at - out);
}

size_t packet_ping(uint8_t out[PACKET_SMALL])
{
	out[0] = PINGREQ;
	out[1] = 0;
	return 2;
}

void packet_head(struct packet_head *h, const char *topic, const char *content_type, const char *response_topic,
		 size_t payload_len)
{
	struct writer w = {h->bytes};
	size_t properties = 3 + strlen(content_type) + (response_topic != NULL ? 3 + strlen(response_topic) : 0);
	size_t width = properties < 0x80 ? 1 : 2;

	put_byte(&w, PUBLISH_QOS1);
	put_varint(&w, 2 + strlen(topic) + 2 + width + properties + payload_len);
	put_text(&w, topic);
	h->id_at = (size_t)(w.at - h->bytes);
	put_u16(&w, 0);
	put_varint(&w, properties);
	put_byte(&w, CONTENT_TYPE);
	put_text(&w, content_type);
	if (response_topic != NULL) {
		put_byte(&w, RESPONSE_TOPIC);
		put_text(&w, response_topic);
	}
	h->len = (size_t)(w.at - h->bytes);
}

void packet_head_number(struct packet_head *h, uint16_t id)
{
	h->bytes[h->id_at] = (uint8_t)(id >> 8);
	h->bytes[h->id_at + 1] = (uint8_t)id;
}

/* ---- reading ---- */

/* What is left of a packet; `short_of` stays once something was missing. */
struct reader {
	const uint8_t *at, *end;
	bool short_of;
};

static const uint8_t *take(struct reader *r, size_t len)
{
	static const uint8_t nothing[4];
	const uint8_t *at = r->at;

	if (len > (size_t)(r->end - r->at)) {
		r->short_of = true;
		r->at = r->end;
		return nothing;
	}
	r->at += len;
	return at;
}

static unsigned take_byte(struct reader *r)
{
	return *take(r, 1);
}

static uint16_t take_u16(struct reader *r)
{
	const uint8_t *at = take(r, 2);

	return (uint16_t)(at[0] << 8 | at[1]);
}

/* At most four bytes (1.5.5); false when a fifth would follow. */
static bool take_varint(struct reader *r, size_t *value)
{
	*value = 0;
	for (unsigned shift = 0; shift < 28; shift += 7) {
		unsigned byte = take_byte(r);
		*value |= (size_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return true;
	}
	return false;
}

static void skip_text(struct reader *r)
{
	take(r, take_u16(r));
}

/* One property; false when 2.2.2.2 does not know it. */
static bool property(struct reader *r, struct packet *out)
{
	unsigned id = take_byte(r);

	switch (id) {
	case RECEIVE_MAXIMUM:
		out->receive_maximum = take_u16(r);
		return true;
	case 0x01:
	case 0x17:
	case 0x19:
	case 0x24:
	case 0x25:
	case 0x28:
	case 0x29:
	case 0x2a: /* a byte */
		take(r, 1);
		return true;
	case 0x13:
	case 0x22:
	case 0x23: /* two */
		take(r, 2);
		return true;
	case 0x02:
	case 0x11:
	case 0x18:
	case 0x27: /* four */
		take(r, 4);
		return true;
	case 0x26: /* two texts */
		skip_text(r);
		skip_text(r);
		return true;
	case CONTENT_TYPE:
	case RESPONSE_TOPIC:
	case 0x09:
	case 0x12:
	case 0x15:
	case 0x16:
	case 0x1a:
	case 0x1c:
	case 0x1f:
		skip_text(r);
		return true;
	default:
		return false;
	}
}

static bool properties(struct reader *r, struct packet *out)
{
	size_t len;

	if (!take_varint(r, &len) || len > (size_t)(r->end - r->at))
		return false;
	struct reader inner = {.at = r->at, .end = r->at + len};
	r->at += len;
	while (inner.at < inner.end) {
		if (!property(&inner, out) || inner.short_of)
			return false;
	}
	return true;
}

static bool read_connack(struct reader *r, struct packet *out)
{
	take(r, 1); /* session present */
	out->reason = (int)take_byte(r);
	out->receive_maximum = UINT16_MAX;
	return properties(r, out) && out->receive_maximum > 0;
}

/* Reason and properties may be left out (3.4.2). */
static bool read_puback(struct reader *r, struct packet *out)
{
	out->id = take_u16(r);
	out->reason = r->at < r->end ? (int)take_byte(r) : 0;
	return out->id != 0 && (r->at == r->end || properties(r, out));
}

static bool read_suback(struct reader *r, struct packet *out)
{
	out->id = take_u16(r);
	if (out->id == 0 || !properties(r, out) || r->at == r->end)
		return false;
	while (r->at < r->end) {
		int reason = (int)take_byte(r);
		out->reason = reason > out->reason ? reason : out->reason;
	}
	return true;
}

static bool read_publish(struct reader *r, unsigned flags, struct packet *out)
{
	if ((flags & 0x06) != 0)
		return false; /* more than QoS 0 was not asked for */
	skip_text(r);
	if (!properties(r, out))
		return false;
	take(r, (size_t)(r->end - r->at));
	return true;
}

static bool read_disconnect(struct reader *r, struct packet *out)
{
	out->reason = r->at < r->end ? (int)take_byte(r) : 0;
	return r->at == r->end || properties(r, out);
}

static bool read_body(struct reader *r, unsigned first, struct packet *out)
{
	out->type = (enum packet_type)(first >> 4);
	if (out->type != PACKET_PUBLISH && (first & 0x0f) != 0)
		return false;
	switch (out->type) {
	case PACKET_CONNACK:
		return read_connack(r, out);
	case PACKET_PUBLISH:
		return read_publish(r, first & 0x0f, out);
	case PACKET_PUBACK:
		return read_puback(r, out);
	case PACKET_SUBACK:
		return read_suback(r, out);
	case PACKET_PINGRESP:
		return true;
	case PACKET_DISCONNECT:
		return read_disconnect(r, out);
	}
	return false;
}

bool packet_read(const uint8_t *bytes, size_t len, struct packet *out, size_t *used, struct err *e)
{
	struct reader r = {.at = bytes, .end = bytes + len};
	size_t body;

	*used = 0;
	*out = (struct packet){0};
	unsigned first = take_byte(&r);
	bool terminated = take_varint(&r, &body);
	if (r.short_of)
		return true;
	if (!terminated || body > PACKET_IN_MAX - 5)
		return err_set(e, ERR_DECODE, "the broker sent a packet of type %u longer than %d bytes", first >> 4,
			       PACKET_IN_MAX);
	if (body > (size_t)(r.end - r.at))
		return true;
	r.end = r.at + body;
	if (!read_body(&r, first, out) || r.short_of || r.at != r.end)
		return err_set(e, ERR_DECODE,
			       "the broker sent a packet of %zu bytes, first 0x%02x, that MQTT 5 or a tracker has no "
			       "place for",
			       body, first);
	*used = (size_t)(r.end - bytes);
	return true;
}
