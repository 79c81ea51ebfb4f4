// A reader of Prometheus' text format 0.0.4 as strict as a scraper, for tests of what we write.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <sstream>
#include <string>

namespace pagoda::testing {

struct Exposition {
  std::map<std::string, std::string> types;                      // by family
  std::map<std::string, std::map<std::string, double>> samples;  // by name, by label text (`a="1",b="2"`)
  bool has(const std::string& name) const { return samples.count(name) > 0; }
  // The one sample of a name.
  double value(const std::string& name) const { return samples.at(name).begin()->second; }
};

// Adds a failure for each line that is not of the format.
inline Exposition parse_prometheus(const std::string& text) {
  Exposition out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# HELP ", 0) == 0) continue;
    if (line.rfind("# TYPE ", 0) == 0) {
      const std::size_t space = line.rfind(' ');
      const bool is_new = out.types.emplace(line.substr(7, space - 7), line.substr(space + 1)).second;
      EXPECT_TRUE(is_new) << "a family twice: " << line;
      continue;
    }
    const std::size_t space = line.rfind(' '), brace = line.find('{');
    if (space == std::string::npos) {
      ADD_FAILURE() << "no value: " << line;
      continue;
    }
    char* end = nullptr;
    const double value = std::strtod(line.c_str() + space + 1, &end);
    EXPECT_EQ(*end, '\0') << line;
    const std::string name = line.substr(0, std::min(brace, space));
    std::string labels;
    if (brace != std::string::npos) {
      EXPECT_EQ(line[space - 1], '}') << line;
      labels = line.substr(brace + 1, space - brace - 2);
    }
    EXPECT_TRUE(out.samples[name].emplace(labels, value).second) << "a series twice: " << line;
  }
  return out;
}

}  // namespace pagoda::testing
