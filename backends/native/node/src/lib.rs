//! veritee-native-node
