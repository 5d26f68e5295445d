/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/question.c - who is there is looked up first, so that asking makes no bus and no node is forgotten:
 * a node that died is asked too, and shown as one that does not answer.
 *
 * Replies are private to who asked, so any number of these may run at once.
 */
#include "tools/cli/question.h"

#include "tools/cli/attach.h"
#include "tools/cli/convert.h"
#include "tools/cli/format.h"
#include "tools/cli/json.h"
#include "tools/cli/pools.h"
#include "tools/cli/report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASON_BYTES = 128 };

struct asking {
    const struct cli_question *question;
    const struct cli_members *members;
    const char **names;
    size_t name_count;
    struct cli_buffer text;
    size_t answers; /* with a value */
    size_t others;
    int err;
};

/* ---- answers ----------------------------------------------------------------------------------------- */

/* why - in words, what there was instead of a value. */
static const char *
why(const struct asking *asking, const struct bb_variable_answer *answer, char out[REASON_BYTES])
{
    const struct cli_member *member = cli_member_find(asking->members, answer->node);

    switch (answer->code) {
    case BB_ETIMEDOUT:
    case BB_EPEERGONE:
        if (member != NULL && member->state != CLI_MEMBER_UP) {
            (void)snprintf(out, REASON_BYTES, "no answer (%s)",
                           cli_member_state_name(member->state));
            return out;
        }
        return "no answer";
    default:
        return answer->sentence != NULL && answer->sentence[0] != '\0' ? answer->sentence
                                                                       : bb_strerror(answer->code);
    }
}

static void
print_json(struct asking *asking, const struct bb_variable_answer *answer)
{
    char reason[REASON_BYTES];
    struct cli_json j = {0};

    cli_json_object(&j, NULL);
    cli_json_text(&j, "node", answer->node);
    cli_json_text(&j, "name", asking->question->variable);
    if (answer->code == 0) {
        cli_json_raw(&j, "value", asking->text.p, asking->text.bytes);
    } else {
        cli_json_null(&j, "value");
        cli_json_text(&j, "error", why(asking, answer, reason));
    }
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

/* put_line - the node, and what there is of it; nothing that a terminal would take for orders. */
static void
put_line(struct asking *asking, const char *node, struct cli_buffer *rest)
{
    struct cli_buffer line = {0};

    cli_put_escaped(&line, rest->p, rest->bytes, 0);
    cli_buffer_puts(&line, "\n");
    printf("%12s   ", node);
    if (line.err == 0) {
        fwrite(line.p, 1, line.bytes, stdout);
    }
    asking->err = rest->err != 0 ? rest->err : line.err;
    cli_buffer_free(&line);
}

static void
print_text(struct asking *asking, const struct bb_variable_answer *answer)
{
    char reason[REASON_BYTES];
    struct cli_buffer rest = {0};

    if (answer->code != 0) {
        cli_buffer_puts(&rest, why(asking, answer, reason));
    } else {
        cli_buffer_printf(&rest, "%s = ", asking->question->variable);
        cli_buffer_put(&rest, asking->text.p, asking->text.bytes);
    }
    put_line(asking, answer->node, &rest);
    cli_buffer_free(&rest);
}

static int
on_answer(const struct bb_variable_answer *answer, void *user)
{
    struct asking *asking = user;
    int json = asking->question->call->common.json;

    asking->text.bytes = 0;
    if (answer->code == 0) {
        asking->answers++;
        int rc =
            cli_value_append(&asking->text, json ? CLI_FORM_JSON : CLI_FORM_TEXT, &answer->value);
        if (rc < 0) {
            asking->err = rc;
            return 1;
        }
    } else {
        asking->others++;
    }
    if (json) {
        print_json(asking, answer);
    } else {
        print_text(asking, answer);
    }
    return asking->err != 0;
}

/* ---- who is asked ------------------------------------------------------------------------------------ */

/* is_meant - without names: who is up, and who should be. */
static int
is_meant(const struct cli_member *member)
{
    return cli_member_is_up(member) || member->is_expected;
}

static int
choose(struct asking *asking)
{
    const struct cli_question *q = asking->question;

    asking->names = calloc((size_t)q->node_count + asking->members->count + 1, sizeof(char *));
    if (asking->names == NULL) {
        return cli_report(q->call, BB_ENOMEM, NULL, "the nodes");
    }
    for (int i = 0; i < q->node_count; i++) {
        if (cli_member_find(asking->members, q->nodes[i]) == NULL) {
            cli_say("there is no node \"%.47s\" in this cluster; `busbar cluster status` shows who "
                    "there is",
                    q->nodes[i]);
            return CLI_NONE;
        }
        asking->names[asking->name_count++] = q->nodes[i];
    }
    for (size_t i = 0; q->node_count == 0 && i < asking->members->count; i++) {
        if (is_meant(&asking->members->v[i])) {
            asking->names[asking->name_count++] = asking->members->v[i].node.name;
        }
    }
    return asking->name_count > 0 ? CLI_DONE : cli_no_cluster();
}

static int
join(const struct cli_question *q, const char *prefix, struct bb_cluster **cluster)
{
    struct bb_error error = {0};
    struct bb_cluster_opts opts = {
        .size = sizeof(opts),
        .dir = q->call->common.dir,
        .bus = q->call->common.bus,
        .role = BB_ROLE_TOOL,
        .flags = BB_CLUSTER_OBSERVER,
        .prefix = prefix,
        .wait = BB_WAIT_SLEEP,
        .error = &error,
    };
    int rc = bb_cluster_join(cluster, &opts);
    return rc < 0 ? cli_report(q->call, rc, &error, "cannot join the cluster") : CLI_DONE;
}

static int
ask(struct asking *asking, const char *prefix)
{
    const struct cli_question *q = asking->question;
    struct bb_cluster *cluster = NULL;

    int code = join(q, prefix, &cluster);
    if (code != CLI_DONE) {
        return code;
    }
    int rc = bb_cluster_ask(cluster, q->variable, asking->names, asking->name_count, q->value,
                            q->wait_ns > 0 ? q->wait_ns : 1, on_answer, asking);
    bb_cluster_leave(cluster);
    rc = asking->err != 0 ? asking->err : rc;
    if (rc < 0) {
        return cli_report(q->call, rc, NULL, "cannot ask the nodes");
    }
    return asking->others == 0 && asking->answers > 0 ? CLI_DONE : CLI_NO;
}

static int
is_anybody_up(const struct asking *asking)
{
    for (size_t i = 0; i < asking->name_count; i++) {
        if (cli_member_is_up(cli_member_find(asking->members, asking->names[i]))) {
            return 1;
        }
    }
    return 0;
}

/*
 * answer_for_the_dead - without attaching: on a bus of dead processes that would begin it anew, and what they
 * left for a look after death would go.
 */
static int
answer_for_the_dead(struct asking *asking)
{
    for (size_t i = 0; i < asking->name_count && asking->err == 0; i++) {
        const struct bb_variable_answer none = {.node = asking->names[i], .code = BB_EPEERGONE};
        (void)on_answer(&none, asking);
    }
    return CLI_NO;
}

/* find - the nodes, and the prefix of their topics. */
static int
find(const struct cli_question *q, struct cli_members *members, char prefix[CLI_PREFIX_MAX + 1])
{
    static const struct cli_expected nobody;
    struct bb_look *look = NULL;

    int code = cli_look(q->call, &look);
    if (code == CLI_DONE) {
        code = cli_list_members(q->call, look, &nobody, members);
    }
    if (code == CLI_DONE && q->prefix == NULL) {
        code = cli_cluster_prefix(q->call, look, members, prefix);
    }
    bb_look_close(look);
    return code;
}

int
cli_question_ask(const struct cli_question *question)
{
    char prefix[CLI_PREFIX_MAX + 1] = "";
    struct cli_members members = {0};
    struct asking asking = {.question = question, .members = &members};

    int code = find(question, &members, prefix);
    if (code == CLI_DONE) {
        code = choose(&asking);
    }
    if (code == CLI_DONE) {
        code = is_anybody_up(&asking)
                   ? ask(&asking, question->prefix != NULL ? question->prefix : prefix)
                   : answer_for_the_dead(&asking);
    }
    free(asking.names);
    cli_buffer_free(&asking.text);
    cli_members_free(&members);
    return code;
}
