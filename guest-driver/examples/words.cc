// SPDX-License-Identifier: MIT
// An index of the words of real texts: linked nodes from malloc, built by the CPU, searched
// and counted by device kernels that follow the same pointers, then changed by the CPU and
// searched again. A std::map, which the device never sees, says what is right.
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "part.h"

namespace {

template <class T> T *allocate(size_t n = 1)
{
    void *memory = std::malloc(n * sizeof(T));

    if (!memory)
        throw std::bad_alloc();
    return static_cast<T *>(memory);
}

using Place = std::pair<uint32_t, uint32_t>; // file, offset
using Reference = std::map<std::string, std::multiset<Place>, std::less<>>;

class WordIndex {
public:
    WordIndex() : index_(allocate<gmemu_word_index>())
    {
        index_->buckets = allocate<gmemu_word_node *>(bucket_count);
        index_->mask = bucket_count - 1;
        std::memset(index_->buckets, 0, bucket_count * sizeof(gmemu_word_node *));
    }
    ~WordIndex()
    {
        for (uint64_t b = 0; b < bucket_count; b++)
            while (index_->buckets[b])
                remove_head(&index_->buckets[b]);
        std::free(index_->buckets);
        std::free(index_);
    }
    WordIndex(const WordIndex &) = delete;
    WordIndex &operator=(const WordIndex &) = delete;

    static constexpr uint32_t bucket_count = 4096;
    const gmemu_word_index *get() const { return index_; }

    void add(std::string_view word, Place place)
    {
        gmemu_word_node **link = find(word);

        if (!*link) {
            auto *node = allocate<gmemu_word_node>();
            char *text = allocate<char>(word.size());

            std::memcpy(text, word.data(), word.size());
            *node = {nullptr, text, static_cast<uint32_t>(word.size()), hash(word), 0, nullptr};
            *link = node;
        }
        auto *entry = allocate<gmemu_word_place>();
        *entry = {(*link)->places, place.first, place.second};
        (*link)->places = entry;
        (*link)->count++;
    }

    void remove(std::string_view word)
    {
        gmemu_word_node **link = find(word);

        if (*link)
            remove_head(link);
    }

private:
    static uint32_t hash(std::string_view word)
    {
        return gmemu_word_hash(word.data(), static_cast<uint32_t>(word.size()));
    }

    // The pointer that points, or would point, to the node of the word.
    gmemu_word_node **find(std::string_view word)
    {
        gmemu_word_node **link = &index_->buckets[hash(word) & index_->mask];

        while (*link && std::string_view((*link)->text, (*link)->length) != word)
            link = &(*link)->next;
        return link;
    }

    static void remove_head(gmemu_word_node **link)
    {
        gmemu_word_node *node = *link;

        *link = node->next;
        while (gmemu_word_place *place = node->places) {
            node->places = place->next;
            std::free(place);
        }
        std::free(const_cast<char *>(node->text));
        std::free(node);
    }

    gmemu_word_index *index_;
};

// Each file once, though some have several names.
std::vector<std::filesystem::path> text_files(const std::string &directory)
{
    std::set<std::filesystem::path> files;

    for (const auto &entry : std::filesystem::directory_iterator(directory))
        if (entry.is_regular_file())
            files.insert(std::filesystem::canonical(entry.path()));
    if (files.empty())
        throw std::runtime_error(directory + " has no files: name a directory of texts with --text");
    return {files.begin(), files.end()};
}

void index_file(const std::filesystem::path &path, uint32_t file, WordIndex &index, Reference &reference)
{
    std::ifstream in(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto is_letter = [&](size_t at) {
        return at < text.size() && std::isalpha(static_cast<unsigned char>(text[at]));
    };

    for (size_t at = 0; at < text.size();) {
        const size_t start = at;
        std::string word;

        for (; is_letter(at); at++)
            word += static_cast<char>(std::tolower(static_cast<unsigned char>(text[at])));
        if (word.empty()) {
            at++;
            continue;
        }
        const Place place(file, static_cast<uint32_t>(start));
        index.add(word, place);
        reference[word].insert(place);
    }
}

uint64_t checksum(const std::multiset<Place> &places)
{
    uint64_t sum = 0;

    for (const auto &[file, offset] : places)
        sum += file * 31ull + offset;
    return sum;
}

// Ask the device for every word of `asked`; the answers must be those of the reference.
bool search(Session &session, const WordIndex &index, const Reference &reference,
            const std::vector<std::string> &asked)
{
    const std::unique_ptr<gmemu_word_query, decltype(&std::free)> memory(
        allocate<gmemu_word_query>(asked.size()), &std::free);
    gmemu_word_query *queries = memory.get();

    for (size_t i = 0; i < asked.size(); i++)
        queries[i] = {asked[i].data(), static_cast<uint32_t>(asked[i].size()), 0, nullptr, 0, 0};
    session.queue.launch(session.kernels.kernel("word_search"), {static_cast<uint32_t>(asked.size()), 1, 1},
                         {256, 1, 1}, gmemu_word_search_args{index.get(), queries});
    session.queue.wait_idle(patience);

    bool right = true;
    for (size_t i = 0; i < asked.size(); i++) {
        const auto expected = reference.find(asked[i]);

        if (expected == reference.end())
            right &= !queries[i].found && queries[i].places == 0;
        else
            right &= queries[i].found &&
                     std::string_view(queries[i].found->text, queries[i].found->length) == asked[i] &&
                     queries[i].places == expected->second.size() &&
                     queries[i].checksum == checksum(expected->second);
    }
    return right;
}

bool count(Session &session, const WordIndex &index, const Reference &reference, gmemu_word_totals &totals)
{
    gmemu_word_totals expected = {};

    for (const auto &[word, places] : reference) {
        expected.words++;
        expected.places += places.size();
        expected.bytes += word.size();
        expected.checksum += checksum(places);
    }
    totals = {};
    session.queue.launch(session.kernels.kernel("word_count"), {WordIndex::bucket_count, 1, 1}, {128, 1, 1},
                         gmemu_word_count_args{index.get(), &totals});
    session.queue.wait_idle(patience);
    return totals.words == expected.words && totals.places == expected.places &&
           totals.bytes == expected.bytes && totals.checksum == expected.checksum && totals.bad == 0;
}

} // namespace

bool run_words(Session &session, const std::string &directory, std::string &detail)
{
    const auto files = text_files(directory);
    Reference reference;
    WordIndex index;

    for (uint32_t file = 0; file < files.size(); file++)
        index_file(files[file], file, index, reference);

    std::vector<std::string> asked;
    for (const auto &entry : reference)
        asked.push_back(entry.first);
    asked.insert(asked.end(), {"xyzzy", "gmemu", "zzzz"});

    gmemu_word_totals totals = {}; // on the stack, which is as good as any memory
    bool right = search(session, index, reference, asked);
    right &= count(session, index, reference, totals);
    detail = std::to_string(totals.words) + " words, " + std::to_string(totals.places) + " places, " +
             std::to_string(files.size()) + " files";

    // The CPU changes what the device has: every third word goes, every seventh gets more
    // places, a new one comes.
    for (size_t i = 0; i < asked.size(); i++) {
        if (i % 3 == 0) {
            index.remove(asked[i]);
            reference.erase(asked[i]);
        } else if (i % 7 == 0) {
            const Place place(1000, static_cast<uint32_t>(i));
            index.add(asked[i], place);
            reference[asked[i]].insert(place);
        }
    }
    index.add("gmemu", {1, 2});
    reference["gmemu"].insert({1, 2});

    right &= search(session, index, reference, asked);
    right &= count(session, index, reference, totals);
    return right;
}
