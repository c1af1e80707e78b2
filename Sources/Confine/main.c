#include <seccomp.h>
int main(void) { return seccomp_api_get() == 0; }
