/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu attach` between a client and a guest that is played here. */
#include "attach_server.h"

#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <fcntl.h>
#include <optional>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

using namespace gmemu;
using attach::Type;

namespace {

struct Frame {
    Type type;
    uint16_t session;
    std::string payload;
};

/* One end of a stream of frames. */
class Peer {
public:
    explicit Peer(UniqueFd fd) : fd_(std::move(fd)) { fcntl(fd_.get(), F_SETFL, O_NONBLOCK); }

    ssize_t send(Type type, uint16_t session, std::string_view payload)
    {
        const std::string bytes = attach::frame(type, session, payload);

        return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    std::vector<Frame> receive()
    {
        std::vector<Frame> frames;
        char buffer[65536];

        for (ssize_t n; (n = read(fd_.get(), buffer, sizeof(buffer))) > 0;)
            reader_.feed({buffer, static_cast<size_t>(n)},
                         [&](const attach::Header &header, std::string_view payload) {
                             frames.push_back({header.type, header.session, std::string(payload)});
                         });
        return frames;
    }
    bool ended() const
    {
        char c;

        return recv(fd_.get(), &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    }

private:
    UniqueFd fd_;
    attach::Reader reader_;
};

UniqueFd connect_self()
{
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const std::string name = attach_socket_name(getpid());
    sockaddr_un address = {};

    address.sun_family = AF_UNIX;
    std::copy(name.begin(), name.end(), address.sun_path + 1);
    REQUIRE(connect(fd.get(), reinterpret_cast<const sockaddr *>(&address),
                    static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) == 0);
    return fd;
}

struct Rig {
    Rig() { fcntl(ends.ours.get(), F_SETFL, O_NONBLOCK); }
    ChannelEnds ends = make_socket_pair();
    Peer guest{std::move(ends.theirs)};
    AttachServer server{ends.ours.get()};
};

} // namespace

TEST_CASE("frames are put together again from any pieces", "[attach]")
{
    const std::string bytes = attach::frame(Type::input, 7, "hello") + attach::frame(Type::end, 7, "");
    attach::Reader reader;
    std::string seen;

    for (const char c : bytes)
        REQUIRE(reader.feed({&c, 1}, [&](const attach::Header &header, std::string_view payload) {
            seen += std::to_string(static_cast<int>(header.type)) + ":" + std::string(payload) + ";";
        }));
    CHECK(seen == "2:hello;3:;");
    CHECK_FALSE(reader.feed(std::string(8, '\xff'), [](const attach::Header &, std::string_view) {}));
}

TEST_CASE("each client has a session of its own", "[attach]")
{
    Rig rig;
    Peer one(connect_self()), two(connect_self());

    one.send(Type::open, 0, "arg=one");
    two.send(Type::open, 0, "arg=two");
    rig.server.work();
    const auto opened = rig.guest.receive();
    REQUIRE(opened.size() == 2);
    REQUIRE(opened[0].session != opened[1].session);
    const uint16_t first = opened[0].payload == "arg=one" ? opened[0].session : opened[1].session;
    rig.guest.send(Type::output, first, "for one");
    rig.guest.send(Type::exit, first, "5");
    rig.server.work();
    const auto frames = one.receive();
    REQUIRE(frames.size() == 2);
    CHECK(frames[0].payload == "for one");
    CHECK(frames[1].payload == "5");
    CHECK(two.receive().empty());
    rig.server.work();
    CHECK(one.ended());
    CHECK_FALSE(two.ended());
}

TEST_CASE("a client that goes away is a hangup", "[attach]")
{
    Rig rig;
    std::optional<Peer> client(std::in_place, connect_self());

    client->send(Type::open, 0, "arg=x");
    rig.server.work();
    client.reset();
    rig.server.work();
    const auto frames = rig.guest.receive();
    REQUIRE(frames.size() == 2);
    CHECK(frames[1].type == Type::hangup);
    CHECK(frames[1].session == frames[0].session);
}

TEST_CASE("a question goes to the launcher, its answer to who asked", "[attach]")
{
    Rig rig;
    std::vector<std::pair<uint16_t, std::string>> asked;
    Peer one(connect_self()), two(connect_self());

    rig.server.set_ask(
        [&](uint16_t client, std::string_view question) { asked.emplace_back(client, question); });
    one.send(Type::ask, 0, "0 harts");
    rig.server.work();
    two.send(Type::ask, 0, "0 rings");
    rig.server.work();
    REQUIRE(asked.size() == 2);
    CHECK(asked[0].second == "0 harts");
    CHECK(asked[1].second == "0 rings");
    rig.server.answer(asked[1].first, "{}");
    rig.server.work();
    CHECK(one.receive().empty());
    const auto frames = two.receive();
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].type == Type::answer);
    CHECK(frames[0].payload == "{}");
    /* Nothing of it gets to the guest, nor that such a client goes. */
    {
        Peer gone = std::move(two);
    }
    rig.server.work();
    CHECK(rig.guest.receive().empty());
    rig.server.answer(asked[1].first, "{}");

    /* Who asks without end is let go. */
    for (int i = 0; i < 100; i++)
        one.send(Type::ask, 0, "0 harts");
    rig.server.work();
    CHECK(one.ended());
}

TEST_CASE("who does not read holds up nobody, and nothing is stored without limits", "[attach]")
{
    Rig rig;
    Peer client(connect_self());
    const std::string chunk(60000, 'x');
    size_t sent = 0;

    client.send(Type::open, 0, "arg=x");
    rig.server.work();
    const uint16_t id = rig.guest.receive().at(0).session;

    /* Input that the program does not take: the server stops reading. */
    size_t passed = 0;
    for (int i = 0; i < 100; i++) {
        sent += client.send(Type::input, 0, chunk) > 0;
        rig.server.work();
        for (const Frame &frame : rig.guest.receive())
            passed += frame.payload.size();
    }
    CHECK(sent < 100);
    CHECK(passed <= attach::kWindow + 65536);
    /* Once it takes it, more comes. */
    rig.guest.send(Type::input_ack, id, {reinterpret_cast<const char *>(&attach::kWindow), 4});
    rig.server.work();
    CHECK_FALSE(rig.guest.receive().empty());

    /* Output is acknowledged when the client's socket has taken it, not before. */
    rig.guest.send(Type::output, id, chunk);
    rig.server.work();
    const auto acks = rig.guest.receive();
    REQUIRE_FALSE(acks.empty());
    CHECK(acks.back().type == Type::output_ack);
    CHECK(attach::ack_value(acks.back().payload) == chunk.size());
}
