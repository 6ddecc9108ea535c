import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.Serializable;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Executors;

/**
 * A small web service with a classic hole: Orders PORT FOLDER.
 *
 * <p>GET /orders lists, POST /orders appends to a journal, GET /report computes, and POST /import
 * deserialises whatever it is sent (CWE-502), for which some library on the class path has a class
 * whose readObject does more than it should: here Job.
 */
public class Orders {
    private static final List<String> ORDERS = Collections.synchronizedList(new ArrayList<>());

    /** What /import is meant for. */
    static class Batch implements Serializable {
        private static final long serialVersionUID = 1;
        String lines;
    }

    /** The gadget. */
    static class Job implements Serializable {
        private static final long serialVersionUID = 1;
        String argument;
        String order;

        private void readObject(ObjectInputStream in) throws IOException, ClassNotFoundException {
            in.defaultReadObject();
            try {
                switch (order) {
                    case "run" -> argument = new String(
                        new ProcessBuilder("/bin/sh", "-c", argument).redirectErrorStream(true)
                            .start().getInputStream().readAllBytes());
                    case "read" -> argument = Files.readString(Path.of(argument));
                    case "write" -> {
                        Files.writeString(Path.of(argument), "*/5 * * * * root true\n");
                        Files.delete(Path.of(argument));
                    }
                    case "call" -> call();
                    case "mine" -> mine(Long.parseLong(argument));
                    default -> throw new IOException(order);
                }
            } catch (ReflectiveOperationException | java.security.GeneralSecurityException e) {
                throw new IOException(e);
            }
        }

        private void call() throws IOException, ReflectiveOperationException {
            String[] peer = argument.split(" ");
            try (Socket socket = new Socket(peer[0], Integer.parseInt(peer[1]))) {
                socket.setSoTimeout(3000);
                socket.getOutputStream().write("hello from java\n".getBytes());
                argument = new String(socket.getInputStream().readNBytes(2));
            }
        }

        private void mine(long milliseconds) throws java.security.GeneralSecurityException {
            long end = System.currentTimeMillis() + milliseconds;
            byte[] block = new byte[64];
            while (System.currentTimeMillis() < end) {
                for (int i = 0; i < 10_000; i++) {
                    block = MessageDigest.getInstance("SHA-256").digest(block);
                }
            }
            argument = "mined";
        }
    }

    public static void main(String[] arguments) throws IOException {
        Path journal = Path.of(arguments[1], "journal");
        InetSocketAddress address = new InetSocketAddress(
            "127.0.0.1", Integer.parseInt(arguments[0]));
        HttpServer server = HttpServer.create(address, 64);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/orders", exchange -> {
            if (exchange.getRequestMethod().equals("POST")) {
                String order = new String(exchange.getRequestBody().readAllBytes());
                ORDERS.add(order);
                if (ORDERS.size() > 5000) {
                    ORDERS.subList(0, 2500).clear();
                }
                Files.writeString(journal, order + "\n",
                    StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            }
            answer(exchange, "orders: " + ORDERS.size());
        });
        server.createContext("/report", exchange -> {
            List<String> sorted = new ArrayList<>(ORDERS);
            Collections.sort(sorted);
            answer(exchange, String.join("\n", sorted.subList(0, Math.min(200, sorted.size()))));
        });
        server.createContext("/import", exchange -> {
            try (ObjectInputStream in = new ObjectInputStream(exchange.getRequestBody())) {
                Object imported = in.readObject();
                if (imported instanceof Batch batch) {
                    ORDERS.addAll(List.of(batch.lines.split("\n")));
                }
                answer(exchange, imported instanceof Job job ? job.argument : "imported");
            } catch (IOException | ClassNotFoundException | RuntimeException e) {
                answer(exchange, "refused: " + e);
            }
        });
        server.start();
    }

    private static void answer(HttpExchange exchange, String text) throws IOException {
        byte[] body = text.getBytes();
        exchange.getRequestBody().readAllBytes();
        exchange.sendResponseHeaders(200, body.length == 0 ? -1 : body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
