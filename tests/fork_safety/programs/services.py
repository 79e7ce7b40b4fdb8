"""What the cases talk to. Prints its address, and serves until it is ended.

    services.py pairs|tls|grpc
"""

import concurrent.futures
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


class PairsHandler(socketserver.StreamRequestHandler):
    """HTTP/1.1 that answers a request with its path.

    Requests wait until there are two of them, from wherever, and are answered
    in their order: as if both had been sent while the server was busy. Those
    for /0/... do not wait.
    """

    lock = threading.Lock()
    waiting = []

    def handle(self):
        try:
            self.answer_requests()
        except OSError:
            pass  # The client was ended.
        with self.lock:
            self.waiting[:] = [each for each in self.waiting
                               if each[0] is not self]

    def answer_requests(self):
        while True:
            request = self.rfile.readline()
            if not request:
                return
            while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                pass
            path = request.split()[1]
            with self.lock:
                if path.startswith(b"/0/"):
                    self.answer(path)
                    continue
                self.waiting.append((self, path))
                if len(self.waiting) == 2:
                    for handler, waiting_path in self.waiting:
                        handler.answer(waiting_path)
                        # Two packets: one reader cannot get both at once.
                        time.sleep(0.02)
                    self.waiting.clear()

    def answer(self, path):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" %
                         (len(path), path))


class EchoHandler(socketserver.StreamRequestHandler):
    """Lines are sent back."""

    def handle(self):
        try:
            for line in self.rfile:
                self.wfile.write(line)
        except (ssl.SSLError, OSError):
            pass


class TlsServer(Server):

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            key, certificate = folder + "/key", folder + "/certificate"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                 "/CN=localhost", "-keyout", key, "-out", certificate],
                check=True, stderr=subprocess.DEVNULL)
            self._context.load_cert_chain(certificate, key)

    def get_request(self):
        connection, address = super().get_request()
        return self._context.wrap_socket(connection,
                                         server_side=True), address


def serve(server):
    print("%s:%d" % server.server_address, flush=True)
    server.serve_forever()


def serve_grpc():
    import grpc

    class Echo(grpc.GenericRpcHandler):

        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda text, _: text)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Echo(),))
    print(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)
    server.start()
    server.wait_for_termination()


def main():
    here = ("127.0.0.1", 0)
    if sys.argv[1] == "pairs":
        serve(Server(here, PairsHandler))
    elif sys.argv[1] == "tls":
        serve(TlsServer(here, EchoHandler))
    else:
        serve_grpc()


if __name__ == "__main__":
    main()
