/* hello PORT [CLIENTS]: a TCP server that greets each client, and fails after that many clients.
   hello echo: stdin to stdout. hello sleep: never exits. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void echo(void)
{
    char data[4096];
    ssize_t count;
    while ((count = read(0, data, sizeof data)) > 0)
        if (write(1, data, count) != count)
            exit(1);
}

static void serve(int port, int clients)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int listener = socket(AF_INET6, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) {
        perror("hello");
        exit(1);
    }
    printf("listening on port %d\n", port);
    while (clients--) {
        int client = accept(listener, 0, 0);
        dprintf(client, "hello from C\n");
        close(client);
        puts("greeted a client");
    }
    fputs("hello: no more clients, please\n", stderr);
    exit(3);
}

int main(int count, char **words)
{
    setvbuf(stdout, 0, _IOLBF, 0);
    if (count > 1 && !strcmp(words[1], "echo"))
        echo();
    else if (count > 1 && !strcmp(words[1], "sleep"))
        for (;;)
            pause();
    else
        serve(count > 1 ? atoi(words[1]) : 7000, count > 2 ? atoi(words[2]) : -1);
    return 0;
}
