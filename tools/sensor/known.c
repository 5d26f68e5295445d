/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/known.h"

#include <stdlib.h>
#include <string.h>

#define ASK_NS INT64_C(5000000000) /* for the slowest; who is stopped answers never */

static const char *
reason(int code)
{
    switch (code) {
    case BB_ETIMEDOUT:
        return "it did not answer in time; is it stopped?";
    case BB_EPEERGONE:
    case BB_ENOENT:
        return "it is not there";
    default:
        return bb_strerror(code);
    }
}

static int
take_answer(const struct bb_variable_answer *answer, void *user)
{
    struct sensor_survey *survey = user;
    int rc = answer->code;

    for (size_t i = 1; i < survey->count; i++) {
        struct sensor_known *known = &survey->known[i];

        if (strcmp(known->node, answer->node) != 0 || survey->owned[i] != NULL) {
            continue;
        }
        if (rc == 0) {
            rc = sensor_read_clients(&answer->value, &survey->owned[i], &known->count);
        }
        known->clients = survey->owned[i];
        known->why = rc == 0 ? NULL : reason(rc);
        break;
    }
    return 0;
}

/* A node does not ask itself: it looks. */
static int
take_own(struct sensor_survey *survey, struct sensor_node *node, struct sensor_fail *fail)
{
    int rc = sensor_keeper_look(&node->keeper);

    if (rc != 0) {
        return sensor_fail_bus(fail, rc, NULL, "cannot read the store " SENSOR_STORE);
    }
    survey->owned[0] = sensor_clients_sorted(&node->keeper.clients);
    if (survey->owned[0] == NULL) {
        return sensor_fail(fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    survey->known[0] =
        (struct sensor_known){.node = bb_endpoint_name(bb_cluster_endpoint(node->cluster)),
                              .clients = survey->owned[0],
                              .count = node->keeper.clients.count};
    survey->count = 1;
    return 0;
}

int
sensor_survey(struct sensor_survey *survey,
              struct sensor_node *node,
              const struct sensor_layout *layout,
              struct sensor_fail *fail)
{
    const char *names[SENSOR_NODES_MAX];
    uint32_t others = layout == NULL ? 0 : layout->count;
    int rc = 0;

    memset(survey, 0, sizeof(*survey));
    if (take_own(survey, node, fail) != 0) {
        return -1;
    }
    for (uint32_t i = 0; i < others && survey->count < SENSOR_NODES_MAX; i++) {
        names[i] = layout->peers[i].name;
        survey->known[survey->count++] =
            (struct sensor_known){.node = names[i], .why = "it is not there"};
    }
    if (others != 0) {
        rc = bb_cluster_ask(node->cluster, SENSOR_VARIABLE, names, survey->count - 1, NULL, ASK_NS,
                            take_answer, survey);
    }
    for (size_t i = 0; i < survey->count; i++) {
        survey->silent += survey->known[i].why != NULL;
    }
    return rc >= 0 ? 0
                   : sensor_fail_bus(fail, rc, NULL, "cannot ask the nodes for " SENSOR_VARIABLE);
}

void
sensor_survey_fini(struct sensor_survey *survey)
{
    for (size_t i = 0; i < survey->count; i++) {
        free(survey->owned[i]);
    }
    memset(survey, 0, sizeof(*survey));
}
