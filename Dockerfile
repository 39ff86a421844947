# syntax=docker/dockerfile:1
# The final image holds the binary, the C library it is linked with, and nothing else: no shell, no package manager,
# no CA bundle (the public roots are compiled in; a private CA is configured with extra_ca). Kubernetes runs the probes,
# so there is no HEALTHCHECK.

FROM rust:1.95-bookworm AS build
# The TLS library is built from its own sources, never linked from the system.
ENV AWS_LC_SYS_USE_SYSTEM=0
WORKDIR /build

# The dependencies, in a layer of their own: rebuilt only when the manifest changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --profile dist --locked \
    && rm -r src

COPY src src
ARG REVISION=unknown
ENV BALANCE_GATEWAY_REVISION=$REVISION
# The empty files from above may be newer than the sources that replace them: make the sources newer.
RUN touch src/main.rs src/lib.rs && cargo build --profile dist --locked

# What the image will hold: the binary, its shared libraries, and how host names are looked up.
RUN mkdir -p /image/etc \
    && cp target/dist/balance-gateway /image/ \
    && ldd /image/balance-gateway | grep -o '/[^ ]*' | xargs cp --parents --dereference --target-directory=/image \
    && echo 'hosts: files dns' > /image/etc/nsswitch.conf

FROM scratch
COPY --from=build /image /
# A number instead of a name: Kubernetes can check that it is not root.
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["/balance-gateway"]
CMD ["serve"]
