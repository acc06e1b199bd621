# A host as deploy/install.sh finds it: Debian with systemd, PostgreSQL and nginx. For scripts/soak/install.sh alone.
FROM debian:bookworm-slim
RUN apt-get update -q && apt-get install -y -q --no-install-recommends \
      ca-certificates curl nginx-light openssl postgresql-15 procps systemd systemd-sysv \
 && rm -rf /var/lib/apt/lists/* /var/cache/* \
 && systemctl mask getty.target console-getty.service systemd-udevd.service systemd-logind.service \
 && systemctl disable nginx
STOPSIGNAL SIGRTMIN+3
CMD ["/sbin/init"]
