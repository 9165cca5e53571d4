// SPDX-License-Identifier: GPL-2.0
/* Which step of the module fails: see unwind.h. */
#include <linux/module.h>

/* 1: the next one; 0: none, or it has failed already. */
static int fail_at;
module_param(fail_at, int, 0600);

bool ekho_unwind_fails(const char *what)
{
	if (READ_ONCE(fail_at) <= 0 || --fail_at)
		return false;
	pr_info("%s is made to fail\n", what);
	return true;
}
