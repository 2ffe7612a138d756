/* SPDX-License-Identifier: Apache-2.0
 *
 * What the table of the broker's connection cannot say by itself. */
#include "broker-bridge/mqtt_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool mqtt_config_password(struct mqtt_config *c, const char *section, struct err *e)
{
	c->password[0] = '\0';
	if (c->password_file[0] == '\0')
		return true;
	FILE *f = fopen(c->password_file, "re");
	if (f == NULL)
		return err_set(e, ERR_CONFIG, "%s.mqtt_password_file: %.120s: %s", section, c->password_file,
			       strerror(errno));
	bool ok = fgets(c->password, sizeof(c->password), f) != NULL;
	fclose(f);
	c->password[strcspn(c->password, "\r\n")] = '\0';
	if (!ok || c->password[0] == '\0')
		return err_set(e, ERR_CONFIG, "%s.mqtt_password_file: %.120s: the first line is empty", section,
			       c->password_file);
	return true;
}

bool mqtt_config_check(struct mqtt_config *c, const char *section, struct err *e)
{
	if (!mqtt_config_password(c, section, e))
		return false;
	if (c->share_group[0] == '\0' || strpbrk(c->share_group, "/+#") != NULL)
		return err_set(e, ERR_CONFIG,
			       "%s.share_group: expected a random name without / + and #, for example from openssl "
			       "rand -hex 16; whoever knows it can take messages away",
			       section);
	return true;
}

void mqtt_config_forget(struct mqtt_config *c)
{
	explicit_bzero(c->password, sizeof(c->password));
}

struct mqtt_options mqtt_config_options(const struct mqtt_config *c, const char *name, const char *client_id)
{
	return (struct mqtt_options){
		.name = name,
		.host = c->host,
		.port = (int)c->port,
		.client_id = client_id,
		.username = c->username,
		.password = c->password,
		.ca_file = c->ca,
		.cert_file = c->cert,
		.key_file = c->key,
		.keepalive = (int)c->keepalive,
	};
}

void mqtt_config_shared(const struct mqtt_config *c, const char *filter, char *out, size_t size)
{
	snprintf(out, size, "$share/%s/%s", c->share_group, filter);
}
