// SPDX-License-Identifier: Apache-2.0
// libpq, and what Swift cannot import from it: macros that are character constants.
#pragma once

#include <libpq-fe.h>

static const int clibpq_field_severity = PG_DIAG_SEVERITY_NONLOCALIZED;
static const int clibpq_field_sqlstate = PG_DIAG_SQLSTATE;
static const int clibpq_field_message = PG_DIAG_MESSAGE_PRIMARY;
static const int clibpq_field_detail = PG_DIAG_MESSAGE_DETAIL;
static const int clibpq_field_constraint = PG_DIAG_CONSTRAINT_NAME;
