/*
 * calls STEP...: makes exactly the system calls that its arguments say and no other, so that a test
 * knows every one: there is no C library and no start-up code.  It ends with exit_group.
 *
 *   NUMBER:COUNT     the call with this number, with zeros as arguments, COUNT times
 *   say, wait        write one byte to stdout; read one from stdin
 *   fork             fork; the child takes the remaining steps, the parent waits for it and ends
 *   storm COUNT      the same with so many children, all forked before the first is waited for
 *   exec PROGRAM...  execve with all that follows
 *
 * Compiled natively, with -m32, and with -DINT80: a 64-bit program that calls through the 32-bit
 * entry, where only NUMBER:COUNT can be used because its pointers do not fit.
 */

#if defined(__i386__) || defined(INT80)
enum { FORK = 2, READ = 3, WRITE = 4, EXECVE = 11, WAIT4 = 114, EXIT_GROUP = 252 };
#else
enum { READ = 0, WRITE = 1, FORK = 57, EXECVE = 59, WAIT4 = 61, EXIT_GROUP = 231 };
#endif

static long call(long number, long a, long b, long c, long d)
{
	long result;
#if defined(__i386__)
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d)
			 : "memory");
#elif defined(INT80)
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d)
			 : "memory", "r8", "r9", "r10", "r11");
#else
	register long fourth __asm__("r10") = d;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
			 : "memory", "rcx", "r11");
#endif
	return result;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static long number(const char **text)
{
	long sign = 1, value = 0;

	if (**text == '-')
		sign = -1, ++*text;
	while (**text >= '0' && **text <= '9')
		value = value * 10 + *(*text)++ - '0';
	return sign * value;
}

__attribute__((used)) static void run(char **stack)
{
	char **step = stack + 2, **environment, byte = '.';

	for (environment = step; *environment; environment++)
		;
	environment++;
	for (; *step; step++) {
		if (same(*step, "say")) {
			call(WRITE, 1, (long)&byte, 1, 0);
		} else if (same(*step, "wait")) {
			call(READ, 0, (long)&byte, 1, 0);
		} else if (same(*step, "fork")) {
			if (call(FORK, 0, 0, 0, 0)) {
				call(WAIT4, -1, 0, 0, 0);
				break;
			}
		} else if (same(*step, "storm")) {
			const char *text = *++step;
			long children = 0, wanted = number(&text);
			while (children < wanted && call(FORK, 0, 0, 0, 0))
				children++;
			if (children == wanted) {
				while (children-- > 0)
					call(WAIT4, -1, 0, 0, 0);
				break;
			}
		} else if (same(*step, "exec")) {
			call(EXECVE, (long)step[1], (long)(step + 1), (long)environment, 0);
			call(EXIT_GROUP, 127, 0, 0, 0);
		} else {
			const char *text = *step;
			long what = number(&text);
			text++;
			for (long count = number(&text); count > 0; count--)
				call(what, 0, 0, 0, 0);
		}
	}
	call(EXIT_GROUP, 0, 0, 0, 0);
}

#ifdef __i386__
__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n"
	"\tpush %eax\n\tcall run\n");
#else
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
#endif
